"""Leadership that is handed over: by `sandstore cluster transfer`, and by a leader that is told to stop. Nothing here
measures time: the log of the old leader says that it knew its successor before it went."""
import json

import harness
from harness import ClusterTest, lines_with, wait_until
from load import Load


class Transfer(ClusterTest):
    def loaded_cluster(self, **options):
        cluster = self.cluster(**options).start()
        cluster.await_leader()
        load = Load(cluster)
        self.addCleanup(load.kill)
        load.start()
        load.await_acknowledged(200)
        return cluster, load

    def check(self, cluster, load):
        load.await_acknowledged(load.acknowledged() + 100)
        load.finish()
        problems = load.problems()
        self.assertEqual(problems, [], f"{len(problems)} of {load.acknowledged()} acknowledged operations")
        cluster.await_equal_state()

    def terms(self, cluster):
        return max(node["term"] for node in cluster.status()["nodes"])

    def test_a_leader_that_is_told_to_stop_hands_over_first(self):
        # Elections by themselves would come long after the process has gone.
        cluster, load = self.loaded_cluster(**{"election-timeout": "1500"})
        for _ in range(3):
            leader = cluster.await_leader()
            term = self.terms(cluster)
            before = len(leader.log())
            status, _ = leader.terminate()
            self.assertEqual(status, 0)
            log = leader.log()[before:]
            self.assertTrue(lines_with(log, "leadership is handed over"), log)
            self.assertTrue(lines_with(log, rf"Became Follower .*term={term + 1}\b.*leader=node-"), log)
            self.assertLess(log.index("Became Follower"), log.index("Stopped"))
            successor = cluster.await_leader(besides=leader.node_id)
            self.assertEqual(self.terms(cluster), term + 1, "one election, by the one that was asked to stand")
            self.assertIsNot(successor, leader)
            load.await_acknowledged(load.acknowledged() + 100)
            leader.start()
            cluster.await_caught_up()
        self.check(cluster, load)

    def test_transfer_by_command_under_load(self):
        cluster, load = self.loaded_cluster(**{"election-timeout": "1000"})
        for name in ("node-1", "node-2", "node-3", "node-1"):
            done = cluster.sandstore("cluster", "transfer", name, "--json")
            self.assertEqual(done.returncode, 0, done.stderr.decode())
            self.assertEqual(json.loads(done.stdout)["leader"], name)
            load.await_acknowledged(load.acknowledged() + 100)
        leader = cluster.await_leader()
        done = cluster.sandstore("cluster", "transfer", "--json")
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertNotEqual(json.loads(done.stdout)["leader"], leader.node_id)
        self.check(cluster, load)

    def test_a_follower_and_a_lone_node_stop_without_waiting_for_anybody(self):
        cluster = self.cluster(size=1).start()
        cluster.await_leader()
        cluster.put("/file", b"kept")
        self.assertEqual(cluster.nodes[0].terminate()[0], 0)
        cluster.start()
        cluster.await_leader()
        self.assertEqual(cluster.cat("/file"), b"kept")
        three = self.cluster().start()
        leader = three.await_leader()
        follower = next(node for node in three.nodes if node is not leader)
        self.assertEqual(follower.terminate()[0], 0)
        self.assertEqual(lines_with(follower.log(), "leadership is handed over"), [])
        self.assertIs(three.await_leader(), leader)

    def test_a_node_of_priority_zero_never_leads_and_a_higher_one_takes_over(self):
        cluster = self.cluster()
        cluster.nodes[0].flags = {"election-priority": "0"}
        cluster.nodes[2].flags = {"election-priority": "90"}
        cluster.start()
        wait_until("the node of the highest priority leads", lambda: (cluster.leader() or cluster.nodes[0]).node_id
                   == "node-3")
        cluster.nodes[2].kill()
        self.assertEqual(cluster.await_leader(besides="node-3").node_id, "node-2")
        self.assertEqual(lines_with(cluster.nodes[0].log(), "Became Leader"), [])


if __name__ == "__main__":
    harness.main()
