"""A cluster that grows and shrinks under load. Nodes come with --join and `sandstore cluster add`, or by themselves
with --auto-join; they go with `sandstore cluster remove`, the leader among them, dead or alive. Every acknowledged
operation is found afterwards, once, and the load never hears of an error but those that a client may repeat."""
import json
import os
import shutil
import unittest

import harness
from harness import ClusterTest, clean_environment, lines_with, run, wait_until
from load import Load

MORE = 150  # Acknowledged operations between two changes: the load goes on.


class Scaling(ClusterTest):
    def change(self, cluster, *arguments):
        """`sandstore cluster ...`: what it printed as JSON."""
        done = cluster.sandstore("cluster", *arguments, "--json", timeout=harness.PATIENCE_S * 4)
        self.assertEqual(done.returncode, 0, f"cluster {' '.join(arguments)}: {done.stderr.decode()}")
        return json.loads(done.stdout)

    def configuration(self, cluster):
        found = self.change(cluster, "members")["configuration"]
        return found["voters"], found["learners"]

    def await_leader_of(self, cluster, voters):
        """The leader that all of these agree on."""
        def leader():
            seen = {(cluster.node(name).status() or {}).get("leader") for name in voters}
            return seen.pop() if len(seen) == 1 and None not in seen else None
        return cluster.node(wait_until(f"{voters} agree on a leader", leader))

    def await_waiting(self, node):
        wait_until(f"{node.node_id} says that it waits to be added",
                   lambda: b"waits to be added: run `sandstore cluster add" in node.get("/readyz")[1])

    def go_on(self, load):
        load.await_acknowledged(load.acknowledged() + MORE)

    def await_equal_states(self, cluster, voters):
        def equal():
            nodes = [node for node in cluster.status("--state-hash")["nodes"] if node["id"] in voters]
            if len(nodes) != len(voters) or not all("state_hash" in node for node in nodes):
                return False
            if len({node["state_hash_index"] for node in nodes}) > 1:
                return False
            self.assertEqual(len({node["state_hash"] for node in nodes}), 1, nodes)
            return True
        wait_until("the members are at one index", equal)

    def check(self, cluster, load, voters):
        self.go_on(load)
        load.finish()
        problems = load.problems()
        self.assertEqual(problems, [], f"{len(problems)} of {load.acknowledged()} acknowledged operations")
        self.await_equal_states(cluster, voters)
        servers = ",".join(cluster.node(name).address for name in voters)
        smoke = run([harness.SMOKE], env=clean_environment(SANDSTORE_SERVERS=servers), timeout=harness.PATIENCE_S * 4)
        self.assertEqual(smoke.returncode, 0, smoke.stdout.decode() + smoke.stderr.decode())
        self.assertIn(b"SMOKE OK", smoke.stdout)

    def test_from_three_to_five_and_back_under_load(self):
        cluster = self.cluster().start()
        cluster.await_leader()
        load = Load(cluster)
        self.addCleanup(load.kill)
        load.start()
        self.go_on(load)

        for number in (4, 5):
            node = cluster.join(f"node-{number}").start()
            self.await_waiting(node)
            self.go_on(load)
            after = self.change(cluster, "add", node.node_id, node.address)
            self.assertEqual(len(after["configuration"]["voters"]), number)
            wait_until(f"{node.node_id} is ready", node.ready)
        self.assertEqual(self.configuration(cluster), ([f"node-{i}" for i in range(1, 6)], []))
        self.go_on(load)

        leader = self.await_leader_of(cluster, [f"node-{i}" for i in range(1, 6)])
        victim = next(node for node in cluster.nodes if node is not leader)
        victim.kill()
        self.go_on(load)
        self.assertEqual(len(self.change(cluster, "remove", victim.node_id)["configuration"]["voters"]), 4)
        self.go_on(load)

        leader = self.await_leader_of(cluster, self.configuration(cluster)[0])
        self.change(cluster, "remove", leader.node_id)
        voters = self.configuration(cluster)[0]
        self.assertEqual(len(voters), 3)
        self.assertNotIn(leader.node_id, voters)
        self.assertNotIn(victim.node_id, voters)
        wait_until("the removed leader says what became of it",
                   lambda: b"removed from the cluster" in leader.get("/readyz")[1])
        self.go_on(load)
        self.check(cluster, load, voters)

        for name in voters:
            self.assertEqual(cluster.node(name).terminate()[0], 0)
        for name in voters:
            cluster.node(name).start()
        self.await_leader_of(cluster, voters)
        self.assertEqual(self.configuration(cluster)[0], voters, "who belongs is in the log, not in --peers")
        cluster.put("/after", b"restarted")

    def test_a_node_is_replaced_in_one_change(self):
        cluster = self.cluster().start()
        old = cluster.await_leader()
        load = Load(cluster)
        self.addCleanup(load.kill)
        load.start()
        self.go_on(load)
        new = cluster.join("node-4").start()
        self.await_waiting(new)
        after = self.change(cluster, "replace", old.node_id, new.node_id, new.address)["configuration"]
        self.assertEqual(len(after["voters"]), 3)
        self.assertIn("node-4", after["voters"])
        self.assertNotIn(old.node_id, after["voters"])
        self.check(cluster, load, after["voters"])

    def put_files(self, cluster, count=10):
        files = {f"/f{number}": os.urandom(200_000) for number in range(count)}
        for path, content in files.items():
            cluster.put(path, content)
        return files

    def assertFiles(self, cluster, files):
        lost = [path for path, content in files.items() if cluster.cat(path) != content]
        self.assertEqual(lost, [])

    def await_intact(self, cluster):
        wait_until("every chunk has its copies", lambda: cluster.status()["intact"]["yes"])

    def test_every_node_is_replaced_and_its_disk_thrown_away(self):
        cluster = self.cluster().start()
        cluster.await_leader()
        files = self.put_files(cluster)
        for number in (1, 2, 3):
            old = cluster.node(f"node-{number}")
            new = cluster.join(f"node-{number + 3}").start()
            self.await_waiting(new)
            self.change(cluster, "replace", old.node_id, new.node_id, new.address)
            old.kill()
            shutil.rmtree(old.data_dir)
        self.assertFiles(cluster, files)
        self.await_intact(cluster)
        wait_until("health is green", lambda: cluster.node("node-4").get("/health")[0] == 200)

    def test_copies_are_made_elsewhere_for_a_node_that_is_away_for_long(self):
        cluster = self.cluster(size=4, **{"repair-delay": "2s"}).start()
        leader = cluster.await_leader()
        files = self.put_files(cluster)
        self.await_intact(cluster)
        away = next(node for node in cluster.nodes if node is not leader)
        away.kill()
        shutil.rmtree(away.data_dir)
        wait_until("nothing is left for it to keep", lambda: cluster.status()["intact"]["yes"] and not any(
            line["places"] for line in cluster.status()["copies"]["nodes"] if line["id"] == away.node_id))
        self.assertFiles(cluster, files)

    def test_nobody_who_holds_a_last_copy_may_be_stopped_or_removed(self):
        cluster = self.cluster(**{"repair-delay": "1s"}).start()
        cluster.await_leader()
        away = next(node for node in cluster.nodes if node is not cluster.await_leader())
        away.kill()
        self.put_files(cluster, 2)
        wait_until("health is not green", lambda: cluster.await_leader().get("/health")[0] == 503)
        # Health may tell of the node that is away before the copies are counted.
        wait_until("the status says that copies are missing",
                   lambda: "fewer than 3 copies" in cluster.sandstore("status").stdout.decode())
        last = next(node for node in cluster.nodes if node not in (away, cluster.await_leader()))
        self.assertEqual(last.get("/health?maintenance")[0], 412)
        done = cluster.sandstore("cluster", "remove", last.node_id, "--timeout=20s", timeout=harness.PATIENCE_S)
        self.assertEqual(done.returncode, 1, done.stderr.decode())
        self.assertIn("was not removed", done.stderr.decode())
        self.assertIn("--force", done.stderr.decode())
        self.assertEqual(len(self.configuration(cluster)[0]), 3)
        away.start()
        self.await_intact(cluster)
        wait_until("it may be stopped", lambda: last.get("/health?maintenance")[0] == 200)

    def test_a_joined_node_that_is_killed_while_it_waits_starts_again(self):
        cluster = self.cluster().start()
        cluster.await_leader()
        node = cluster.join("node-4").start()
        self.await_waiting(node)
        node.kill()
        del node.flags["join"]  # That it joined is in its data directory.
        node.start()
        self.await_waiting(node)
        self.assertEqual(self.configuration(cluster), (["node-1", "node-2", "node-3"], []))
        self.change(cluster, "add", "node-4", node.address, "--learner")
        self.assertEqual(self.configuration(cluster), (["node-1", "node-2", "node-3"], ["node-4"]))
        wait_until("its role is learner", lambda: next(
            line for line in cluster.status()["nodes"] if line["id"] == "node-4")["role"] == "learner")
        node.kill()
        node.start()
        wait_until("the learner is ready again", node.ready)
        self.change(cluster, "promote", "node-4")
        self.change(cluster, "demote", "node-4")
        self.change(cluster, "remove", "node-4")
        self.assertEqual(self.configuration(cluster), (["node-1", "node-2", "node-3"], []))

    def test_a_node_that_lost_its_directory_is_taken_back(self):
        cluster = self.cluster().start()
        leader = cluster.await_leader()
        cluster.put("/file", b"kept")
        cluster.await_caught_up()
        lost = next(node for node in cluster.nodes if node is not leader)
        for gone in (lost.data_dir, os.path.join(lost.data_dir, "log")):
            before = self.identity(lost)["storage_id"]
            lost.kill()
            shutil.rmtree(gone)
            lost.start()
            self.await_vote_of(cluster, lost, before)
        # Its vote counts again: with the leader gone, it and the third one are the majority.
        leader.kill()
        cluster.await_leader(besides=leader.node_id)
        self.assertEqual(cluster.cat("/file"), b"kept")

    def test_an_operator_takes_a_node_back_that_asks_for_it(self):
        cluster = self.cluster(rejoin="ask").start()
        leader = cluster.await_leader()
        cluster.put("/file", b"kept")
        lost = next(node for node in cluster.nodes if node is not leader)
        lost.kill()
        shutil.rmtree(lost.data_dir)
        lost.start()
        command = "sandstore cluster rejoin " + lost.node_id
        wait_until("it says what to do", lambda: command in cluster.sandstore("status").stdout.decode())
        self.change(cluster, "rejoin", lost.node_id)
        self.await_vote_of(cluster, lost)

    @staticmethod
    def acknowledge_without(away, cluster):
        """A file that the node which is away knows nothing of; then nobody runs."""
        away.kill()
        cluster.await_leader(besides=away.node_id)
        cluster.put("/file", b"acknowledged by two")
        for node in cluster.running():
            node.kill()

    def test_nodes_whose_disks_are_gone_do_not_go_on_without_those_who_remember(self):
        cluster = self.cluster().start()
        cluster.await_leader()
        one, two, three = cluster.nodes
        self.acknowledge_without(three, cluster)
        shutil.rmtree(two.data_dir)
        two.start()
        three.start()
        wait_until("the node with the new disk says that it waits",
                   lambda: b"waits for a leader" in two.get("/status")[1])
        self.assertIsNone(cluster.leader())
        one.start()
        cluster.await_leader()
        self.assertEqual(cluster.cat("/file"), b"acknowledged by two")
        self.await_vote_of(cluster, two)

    def test_an_older_copy_does_not_go_on_without_those_who_remember(self):
        cluster = self.cluster().start()
        cluster.await_leader()
        one, two, three = cluster.nodes
        two.kill()
        copy = two.data_dir + ".copy"
        shutil.copytree(two.data_dir, copy)
        two.start()
        cluster.await_leader()
        start = self.identity(two)["starts"][-1]
        wait_until("the log knows of its start",
                   lambda: cluster.status()["configuration"]["starts"].get(two.node_id) == start)
        cluster.await_caught_up()
        self.acknowledge_without(three, cluster)
        shutil.rmtree(two.data_dir)
        os.rename(copy, two.data_dir)
        storage = self.identity(two)["storage_id"]
        two.start()
        three.start()
        wait_until("it has found out", lambda: self.identity(two)["storage_id"] != storage)
        self.assertIsNone(cluster.leader())
        self.assertIn("the data directory is an older copy", two.log())
        one.start()
        cluster.await_leader()
        self.assertEqual(cluster.cat("/file"), b"acknowledged by two")
        self.await_vote_of(cluster, two, storage)

    def test_a_cluster_of_one_grows_by_joining_only(self):
        cluster = self.cluster(**{"cluster-id": "one-name"})
        first, *others = cluster.nodes
        first.flags["peers"] = f"{first.node_id}={first.address}"
        first.start()
        wait_until("one voter begins at once", first.ready)
        for node in others:
            node.start()
            self.assertRefused(node, "runs cluster one-name, and " + node.node_id + " is no member of it", "--join")
        self.assertTrue(first.running())

    @staticmethod
    def identity(node):
        with open(os.path.join(node.data_dir, "identity.json"), encoding="utf-8") as file:
            return json.load(file)

    def await_vote_of(self, cluster, node, before=None):
        """The node, which had the storage `before`, is a voter on its new one, and all know it."""
        def votes():
            # First: who has begun was heard by the leader, which says from then on whether it forgot.
            identity = self.identity(node)
            if identity["storage_id"] == before or "begun" not in identity:
                return False
            status = cluster.status()
            forgot = [peer["id"] for line in status["nodes"] for peer in line.get("peers", []) if peer["forgot"]]
            return not forgot and node.node_id in self.configuration(cluster)[0]
        wait_until(f"{node.node_id} votes again", votes)
        cluster.await_caught_up()

    def test_a_new_node_without_join_is_told_that_the_cluster_runs_already(self):
        cluster = self.cluster().start()
        cluster.await_leader()
        node = cluster.join("node-4")
        del node.flags["join"]
        node.start()
        self.assertRefused(node, "belongs to cluster static-[0-9a-f]*, which runs already", "--join")
        node.flags["join"] = "true"
        node.start()
        self.await_waiting(node)

    def test_what_cannot_be_done_is_refused_with_the_reason(self):
        cluster = self.cluster(size=1).start()
        cluster.await_leader()
        for arguments, reason in {
            ("add", "node-9"): "no address of node-9 is known here: give it as host:port",
            ("remove", "node-1"): "the last voter cannot go",
            ("promote", "node-9"): "node-9 is no member",
            ("demote", "node-9"): "node-9 is no voter",
            ("replace", "node-8", "node-9"): "node-8 is no member",
            ("transfer", "node-9"): "node-9",
        }.items():
            done = cluster.sandstore("cluster", *arguments, "--timeout=5s")
            self.assertEqual(done.returncode, 1, arguments)
            self.assertIn(reason, done.stderr.decode())
        for arguments in (("add",), ("add", "no de", "a:1"), ("add", "node-4", "nowhere"), ("frobnicate",),
                          ("remove", "a", "b")):
            done = cluster.sandstore("cluster", *arguments)
            self.assertEqual(done.returncode, 2, arguments)

    def await_log_beginning_after(self, cluster, index):
        """Writes until no running node's log holds the entry any more."""
        def compacted():
            bench = cluster.sandstore("bench", "raft", "--clients=8", "--size=65536", "--duration=1s")
            self.assertEqual(bench.returncode, 0, bench.stderr.decode())
            return all(line["first_index"] > index for line in cluster.status()["nodes"] if line["up"])
        wait_until(f"every log begins after entry {index}", compacted, harness.PATIENCE_S * 4)

    def test_who_comes_after_the_log_was_compacted_gets_a_snapshot(self):
        cluster = self.cluster(**{"snapshot-log-size": "16MiB"}).start()
        leader = cluster.await_leader()
        load = Load(cluster)
        self.addCleanup(load.kill)
        load.start()
        self.go_on(load)
        away = next(node for node in cluster.nodes if node is not leader)
        away.kill()
        last = max(line["last_index"] for line in leader.status()["nodes"])
        self.await_log_beginning_after(cluster, last)

        away.start()
        wait_until("the node that was away gets a snapshot", lambda: lines_with(away.log(), "Snapshot received"))
        wait_until("and is ready", away.ready)
        new = cluster.join("node-4").start()
        self.await_waiting(new)
        self.change(cluster, "add", "node-4", new.address)
        for node in (away, new):
            wait_until(f"{node.node_id} says so", lambda: lines_with(
                node.log(), r"raft Snapshot installed index=\d+ term=\d+ bytes=\d+$"))
        self.assertTrue(lines_with(new.log(), "Snapshot received"), "it could not have caught up from the log")
        self.go_on(load)
        for node in (new, away):
            node.kill()
            node.start()
            wait_until(f"{node.node_id} is ready again", node.ready)
        self.check(cluster, load, [f"node-{i}" for i in range(1, 5)])

    def test_snapshots_on_request(self):
        cluster = self.cluster().start()
        cluster.await_leader()
        cluster.put("/file", b"something to keep")
        for name in ("node-1", "node-2", "node-3"):
            done = cluster.sandstore("cluster", "snapshot", name, "--json")
            self.assertEqual(done.returncode, 0, done.stderr.decode())
            self.assertGreater(json.loads(done.stdout)["index"], 0)
        for line in cluster.status()["nodes"]:
            self.assertGreater(line["snapshot_index"], 0, line)
        for node in cluster.nodes:
            node.kill()
        cluster.start()
        cluster.await_leader()
        self.assertEqual(cluster.cat("/file"), b"something to keep")


@unittest.skipUnless(shutil.which("etcd"), "etcd is not installed")
class AutoJoin(Scaling):
    def test_nodes_that_appear_in_etcd_become_learners(self):
        cluster = self.cluster(etcd=True, **{"auto-join": "true", "poll-interval": "200"})
        cluster.etcd.start()
        nodes = ",".join(f"{node.node_id}={node.address}" for node in cluster.nodes)
        done = run([harness.SANDSTORE, "cluster", "init", f"--etcd-endpoints={cluster.etcd.endpoint}",
                    f"--nodes={nodes}"])
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        cluster.start()
        cluster.await_leader()
        load = Load(cluster)
        self.addCleanup(load.kill)
        load.start()
        self.go_on(load)
        for number in (4, 5):
            node = cluster.join(f"node-{number}", announce=True).start()
            wait_until(f"{node.node_id} has become a learner by itself",
                       lambda: node.node_id in self.configuration(cluster)[1])
        self.change(cluster, "promote", "node-4")
        self.change(cluster, "promote", "node-5")
        self.assertEqual(len(self.configuration(cluster)[0]), 5)
        self.go_on(load)

        for node in cluster.nodes[1:]:
            cluster.etcd.ctl("del", f"/sandstore/config/nodes/{node.node_id}")
        self.go_on(load)
        cluster.etcd.ctl("del", "/sandstore/config/nodes/node-1")
        self.go_on(load)
        self.assertEqual(len(self.configuration(cluster)[0]), 5, "a list without them removes nobody")
        self.check(cluster, load, [f"node-{i}" for i in range(1, 6)])


def load_tests(loader, _, __):
    """AutoJoin has its own test only, not those that it borrows the tools from."""
    suite = loader.loadTestsFromTestCase(Scaling)
    suite.addTest(AutoJoin("test_nodes_that_appear_in_etcd_become_learners"))
    return suite


if __name__ == "__main__":
    harness.main()
