"""A majority that is lost for good: what `sandstore cluster recover` says and does, what the node that goes on alone
still has, how the others that are left come back, and that nobody of before mixes with it."""
import json
import os
import re
import shutil

import harness
from harness import SANDSTORE, ClusterTest, lines_with, run, wait_until


class Recover(ClusterTest):
    def recover(self, node, *arguments, status=0):
        done = run([SANDSTORE, "cluster", "recover", f"--data-dir={node.data_dir}", *arguments])
        self.assertEqual(done.returncode, status, (done.stdout + done.stderr).decode())
        return (done.stdout if status == 0 else done.stderr).decode()

    def identity(self, node):
        with open(f"{node.data_dir}/identity.json") as file:
            return json.load(file)

    def members(self, cluster):
        done = cluster.sandstore("cluster", "members", "--json")
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return json.loads(done.stdout)["configuration"]

    def whole_cluster(self):
        cluster = self.cluster().start()
        cluster.await_leader()
        cluster.put("/before", b"kept" * 50_000)
        cluster.await_caught_up()
        copies = lambda: cluster.status().get("copies", {})
        wait_until("each chunk has three copies", lambda: copies().get("current") and copies()["fewer"] == 0
                   and copies()["chunks"] > 0)
        return cluster

    def recovered_cluster(self):
        """node-1 goes on alone; gives the founding, too."""
        cluster = self.whole_cluster()
        self.recover(cluster.nodes[0], status=1)  # It runs.
        for node in cluster.nodes:
            node.kill()
        said = self.recover(cluster.nodes[0], "--force")
        return cluster, re.search(r"--founding=(founding-[0-9a-f]{16})", said).group(1)

    def test_without_force_it_tells_and_changes_nothing(self):
        cluster = self.whole_cluster()
        survivor = cluster.nodes[0]
        self.assertIn("in use by another sandstore process: stop the node first", self.recover(survivor, status=1))
        for node in cluster.nodes:
            node.kill()
        before = self.identity(survivor)
        said = self.recover(survivor)
        self.assertEqual(self.identity(survivor), before)
        self.assertIn("voters    node-1 (this one), node-2, node-3", said)
        self.assertRegex(said, r"last entry [1-9]\d* of term \d+")
        self.assertIn("Nothing was changed", said)
        self.assertEqual(self.recover(survivor), said)
        nobodys = run([SANDSTORE, "cluster", "recover", f"--data-dir={cluster.folder}"])
        self.assertIn(b"there is no identity.json", nobodys.stderr)
        cluster.start()  # It was only a question.
        cluster.await_leader()
        self.assertEqual(cluster.cat("/before"), b"kept" * 50_000)

    def test_one_node_goes_on_alone_and_the_lost_ones_stay_out(self):
        cluster, founding = self.recovered_cluster()
        survivor, away, gone = cluster.nodes
        self.assertEqual(self.identity(survivor)["recover_founding"], founding)
        self.assertIn(founding, self.recover(survivor, "--force"), "again, before it was started")
        survivor.start()
        self.assertIs(cluster.await_leader(), survivor)
        self.assertEqual(cluster.cat("/before"), b"kept" * 50_000)
        cluster.put("/after", b"written alone")
        wait_until("it is noted that it has begun anew", lambda: "recover_founding" not in self.identity(survivor))
        self.assertEqual(self.identity(survivor)["founding"], founding)
        self.assertEqual(len(self.identity(survivor)["recovered"]), 1)
        self.assertEqual(self.members(cluster)["voters"], ["node-1"])
        self.assertTrue(lines_with(survivor.log(), "goes on alone"))

        gone.start()
        wait_until("the node of before is refused",
                   lambda: lines_with(gone.log(), "parted by `sandstore cluster recover`"))
        self.assertEqual(self.members(cluster)["voters"], ["node-1"])
        gone.kill()

        fresh = cluster.join("node-4").start()
        done = cluster.sandstore("cluster", "add", "node-4", fresh.address)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertEqual(self.members(cluster)["voters"], ["node-1", "node-4"])
        survivor.terminate()
        survivor.start()  # Nothing begins anew a second time.
        cluster.await_leader()
        self.assertEqual(self.members(cluster)["voters"], ["node-1", "node-4"])
        self.assertEqual(cluster.cat("/after"), b"written alone")

    def test_another_survivor_brings_its_file_data(self):
        cluster, founding = self.recovered_cluster()
        survivor, other, _ = cluster.nodes
        shutil.rmtree(f"{survivor.data_dir}/chunks")
        self.assertIn("recovered itself", self.recover(survivor, "--force", f"--founding={founding}", status=1))
        self.recover(other, f"--founding={founding}", status=2)  # Not without --force.
        said = self.recover(other, "--force", f"--founding={founding}")
        self.assertIn("log.before-recover", said)
        self.assertFalse(os.path.exists(f"{other.data_dir}/log"))
        self.assertIn("belongs to that founding already", self.recover(other, "--force", f"--founding={founding}"))
        survivor.start()
        cluster.await_leader()
        self.assertNotEqual(cluster.sandstore("fs", "cat", "/before", "--timeout=1s").returncode, 0)
        other.start()
        done = cluster.sandstore("cluster", "add", "node-2", other.address)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertEqual(self.members(cluster)["voters"], ["node-1", "node-2"])
        wait_until("its copies are found again",
                   lambda: cluster.sandstore("fs", "cat", "/before").stdout == b"kept" * 50_000)


if __name__ == "__main__":
    harness.main()
