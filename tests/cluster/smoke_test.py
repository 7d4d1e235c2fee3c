"""The smoke check against a cluster, orderly ends, and the figures of status."""
import os
import pathlib

import harness
from harness import SANDSTORE, SMOKE, ClusterTest, clean_environment, lines_with, run


class Smoke(ClusterTest):
    def smoke(self, cluster, *flags):
        return run([SMOKE, *flags], env=clean_environment(SANDSTORE_SERVERS=cluster.servers()), timeout=120)

    def test_twice_in_a_row(self):
        cluster = self.cluster().start()
        for _ in range(2):
            done = self.smoke(cluster)
            output = done.stdout.decode()
            self.assertEqual(done.returncode, 0, output + done.stderr.decode())
            self.assertEqual(output.rstrip("\n").splitlines()[-1], "SMOKE OK")
            self.assertGreaterEqual(len(lines_with(output, "^PASS:")), 10, output)

    def test_it_finds_the_leader_in_the_log_files(self):
        folder = self.cluster(size=1).folder  # Only for its folder, removed at the end.
        os.mkdir(f"{folder}/logs")
        cluster = self.cluster(**{"log-dir": f"{folder}/logs"}).start()
        done = self.smoke(cluster, f"--log-dir={folder}/logs")
        self.assertEqual(done.returncode, 0, done.stdout.decode() + done.stderr.decode())
        logs = sorted(pathlib.Path(f"{folder}/logs").glob("*.log"))
        self.assertEqual([log.stem for log in logs], ["node-1", "node-2", "node-3"])
        self.assertTrue(any(lines_with(log.read_text(), "Became Leader") for log in logs))

    def test_sandstore_is_the_same_program_when_called_smoke(self):
        folder = self.cluster(size=1).folder  # Only for its folder, removed at the end.
        os.symlink(SANDSTORE, f"{folder}/smoke")
        helps = [run([*command, "--help"]).stdout.decode() for command in
                 ([SMOKE], [f"{folder}/smoke"], [SANDSTORE, "smoke"])]
        self.assertIn("--chunk-size", helps[0])
        self.assertEqual(helps, helps[:1] * 3)

    def test_without_a_cluster_it_fails_and_says_why(self):
        done = self.smoke(self.cluster(), "--wait=2s")
        self.assertEqual(done.returncode, 1)
        self.assertNotIn(b"SMOKE OK", done.stdout)
        self.assertIn(b"FAIL", done.stdout + done.stderr)

    def test_sigterm_ends_every_node_within_a_second(self):
        cluster = self.cluster().start()
        leader = cluster.await_leader()
        cluster.put("/kept", b"kept")
        for node in [leader, *(node for node in cluster.nodes if node is not leader)]:
            status, took = node.terminate()
            self.assertEqual(status, 0, node.log())
            self.assertLess(took, 1.0, f"{node.name} took {took:.2f} s")
        cluster.start()
        cluster.await_leader()
        self.assertEqual(cluster.cat("/kept"), b"kept")

    def test_status_names_the_leader_and_every_node(self):
        cluster = self.cluster().start()
        leader = cluster.await_leader()
        cluster.put("/kept", b"kept")
        cluster.await_caught_up()
        status = cluster.status()
        self.assertEqual(status["leader"], leader.node_id)
        self.assertGreaterEqual(status["term"], 1)
        self.assertTrue(status["cluster_id"])
        self.assertEqual(sorted(node["id"] for node in status["nodes"]), ["node-1", "node-2", "node-3"])
        cluster.await_equal_state()
        follower = next(node for node in cluster.nodes if node is not leader)
        follower.kill()
        harness.wait_until("status says that it is down", lambda: [
            node for node in cluster.status()["nodes"] if node["id"] == follower.node_id and not node["up"]])

    def test_one_node_without_consensus(self):
        cluster = self.cluster(size=1, replicator="noop").start()
        done = self.smoke(cluster)
        self.assertEqual(done.returncode, 0, done.stdout.decode() + done.stderr.decode())
        cluster.put("/kept", b"kept")
        cluster.nodes[0].kill()
        cluster.start()
        self.assertEqual(cluster.cat("/kept"), b"kept")


if __name__ == "__main__":
    harness.main()
