"""One node after the other is stopped and started again, with the same or another version of the program, while clients
write, read and stream: none of them may see an operation fail, and nothing that was acknowledged may be missing."""
import os

import harness
from harness import BINARY_DIR, SANDSTORE, ClusterTest, lines_with, run, wait_until
from load import Load, Streams

# The same code under another version number (tests/CMakeLists.txt).
SANDSTORE_NEXT = os.path.join(BINARY_DIR, "tests", "sandstore_next")


def version_of(binary):
    done = run([binary, "--version"])
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().split()[1]


class Rolling(ClusterTest):
    def loaded_cluster(self):
        cluster = self.cluster().start()
        cluster.await_leader()
        loads = [Load(cluster, writers=4), Streams(cluster)]
        for load in loads:
            self.addCleanup(load.kill)
            load.start()
        for load in loads:
            load.await_acknowledged(20)
        return cluster, loads

    def replace(self, cluster, node, binary):
        """What an operator does with each node: wait until it may go, stop it, start the other program."""
        wait_until(f"{node.node_id} may be stopped", lambda: node.get("/health?maintenance")[0] == 200)
        self.assertEqual(node.terminate()[0], 0)
        node.binary = binary
        node.start()
        wait_until(f"{node.node_id} is ready", node.ready)
        cluster.await_caught_up()

    def roll(self, cluster, loads, binary):
        # The leader in the middle, wherever it is: leadership moves while others have just come back.
        for node in cluster.nodes:
            self.replace(cluster, node, binary)
            for load in loads:
                load.await_acknowledged(load.acknowledged() + 10)
        for node in cluster.status()["nodes"]:
            self.assertEqual(node["version"], version_of(binary), node)

    def check(self, cluster, loads):
        for load in loads:
            load.finish()
            self.assertEqual(load.failures(), [], f"of {load.acknowledged()} operations")
            self.assertEqual(load.problems(), [])
        cluster.await_equal_state()

    def test_a_rolling_restart_costs_no_client_an_operation(self):
        cluster, loads = self.loaded_cluster()
        for _ in range(2):
            self.roll(cluster, loads, SANDSTORE)
        self.check(cluster, loads)

    def test_an_upgrade_and_a_downgrade_node_by_node_cost_no_client_an_operation(self):
        self.assertNotEqual(version_of(SANDSTORE), version_of(SANDSTORE_NEXT))
        cluster, loads = self.loaded_cluster()
        for binary in (SANDSTORE_NEXT, SANDSTORE):
            before = {node.node_id: len(node.log()) for node in cluster.nodes}
            self.replace(cluster, cluster.nodes[0], binary)
            # Side by side, each knows what it talks to.
            versions = sorted(node["version"] for node in cluster.status()["nodes"])
            self.assertEqual(len(set(versions)), 2, versions)
            for node in cluster.nodes[1:]:
                seen = lines_with(node.log()[before[node.node_id]:],
                                  rf"connected .*peer=node-1 .*version={version_of(binary)}$")
                self.assertTrue(seen, node.node_id)
            self.roll(cluster, loads, binary)
        self.check(cluster, loads)

    def test_what_one_version_wrote_the_other_reads(self):
        cluster = self.cluster(**{"snapshot-log-size": "16MiB"})
        for binary, name in ((SANDSTORE, "old"), (SANDSTORE_NEXT, "new"), (SANDSTORE, "old-again")):
            for node in cluster.nodes:
                node.binary = binary
            cluster.start()
            cluster.await_leader()
            self.assertEqual(cluster.sandstore("cluster", "snapshot", "node-2").returncode, 0)
            cluster.put(f"/{name}", name.encode() * 100_000)
            self.assertEqual(cluster.cat("/old"), b"old" * 100_000)
            self.assertEqual(cluster.cat(f"/{name}"), name.encode() * 100_000)
            cluster.await_caught_up()
            cluster.await_equal_state()
            for node in cluster.nodes:
                self.assertEqual(node.terminate()[0], 0)

    def test_features_are_raised_when_all_nodes_know_them_and_then_no_older_program_starts(self):
        cluster = self.cluster().start()
        cluster.await_leader()
        raise_features = lambda *flags: cluster.sandstore("cluster", "raise-features", *flags)
        self.assertEqual(raise_features().returncode, 0, "there is nothing to raise")
        self.replace(cluster, cluster.nodes[0], SANDSTORE_NEXT)
        self.assertEqual(cluster.sandstore("cluster", "transfer", "node-1").returncode, 0)
        self.assertIn(b"feature levels differ", cluster.sandstore("status").stdout)
        refused = raise_features()
        self.assertEqual(refused.returncode, 1)
        self.assertIn(b"node-2 knows level 2, node-3 knows level 2. Update them first", refused.stderr)
        for node in cluster.nodes[1:]:
            self.replace(cluster, node, SANDSTORE_NEXT)
        self.assertIn(b"run `sandstore cluster raise-features`", cluster.sandstore("cluster", "members").stdout)
        self.assertEqual(cluster.status()["configuration"]["feature_level"], 2)
        raised = raise_features("--json")
        self.assertEqual(raised.returncode, 0, raised.stderr.decode())
        self.assertEqual(cluster.status()["configuration"]["feature_level"], 99)
        self.assertNotIn(b"feature level", cluster.sandstore("status").stdout)
        older = cluster.nodes[2]
        self.assertEqual(older.terminate()[0], 0)
        older.binary = SANDSTORE
        older.start()
        self.assertRefused(older, "the log holds records of feature level 99, and this version knows level 2: update")
        older.binary = SANDSTORE_NEXT
        older.start()
        cluster.await_caught_up()


if __name__ == "__main__":
    harness.main()
