"""Disks that are full: said at once, `rm` works and gives the space back, and what was written stays readable. Each
node has a small disk of its own (tmpfs), which needs the right to mount one."""
import glob
import os
import subprocess
import time
import unittest

import harness
import volumes
from harness import ClusterTest, wait_until

DISK_MIB = 120
FILE_BYTES = 6_000_000
SEGMENTS = 3  # Of a log that has only just begun: one in use, two spare.


def may_mount():
    return os.geteuid() == 0 and harness.run(["unshare", "-m", "true"]).returncode == 0


@unittest.skipUnless(may_mount(), "needs the right to mount a tmpfs")
class FullDisk(ClusterTest):
    def small_disks(self, which=(0, 1, 2), disk_mib=DISK_MIB):
        cluster = self.cluster()
        small = [cluster.nodes[i] for i in which]
        for node in small:
            os.mkdir(node.data_dir)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={disk_mib}m", "tmpfs", node.data_dir], check=True)
        # Runs before the cluster's folder is removed.
        self.addCleanup(self.unmount, cluster, small)
        cluster.start().await_leader()
        # The log takes its own share first: what it lacks it would take of what is removed later.
        wait_until("the log's segments are made in advance", lambda: all(
            self.has_its_segments(node) for node in cluster.nodes))
        return cluster

    @staticmethod
    def has_its_segments(node):
        """All segments of its log, in use or spare, are on the disk in their whole length."""
        files = [os.stat(path) for path in glob.glob(f"{node.data_dir}/log/*.seg")]
        whole = all(file.st_blocks * 512 >= file.st_size for file in files)
        return whole and len(files) == SEGMENTS and len({file.st_size for file in files}) == 1

    def unmount(self, cluster, small):
        for node in cluster.nodes:
            node.kill()
        for node in small:
            subprocess.run(["umount", node.data_dir], check=True)

    def fill(self, cluster):
        """Puts files until one is refused; gives the contents of those that were taken, and the refusal."""
        contents = []
        while True:
            content = os.urandom(FILE_BYTES)
            done = cluster.sandstore("fs", "put", "-", f"/f{len(contents)}", input=content)
            if done.returncode != 0:
                return contents, done.stderr.decode()
            contents.append(content)

    def test_a_full_disk_is_told_and_what_is_removed_gives_its_space_back(self):
        cluster = self.small_disks()
        contents, refusal = self.fill(cluster)
        self.assertIn("No space left", refusal)
        self.assertGreater(len(contents), 3)
        for i, content in enumerate(contents):
            self.assertEqual(cluster.cat(f"/f{i}"), content)
        cluster.fs("mkdir", "/directory")
        cluster.fs("rm", "/f0", "/f1", "/f2")

        def taken():
            return cluster.sandstore("fs", "put", "-", "/again", input=contents[0]).returncode == 0
        wait_until("the space of removed files is there again", taken)
        self.assertEqual(cluster.cat("/again"), contents[0])
        for i in range(3, len(contents)):
            self.assertEqual(cluster.cat(f"/f{i}"), contents[i])
        cluster.await_equal_state()

    def test_a_put_that_cannot_succeed_fills_nobody_elses_disk(self):
        """One disk of three is full, and another node is away: what is stored on the third one is of no use."""
        cluster = self.small_disks(which=[1])
        cluster.await_feature_level(2)  # What is abandoned is told through the log.
        healthy, full, away = cluster.nodes
        away.kill()
        stored = lambda: len(volumes.chunks(healthy.data_dir))
        most = 0
        for i in range(100):
            before = stored()
            child = harness.spawn([harness.SANDSTORE, "fs", "put", "--timeout=10s", "-", f"/f{i}"], stdin=-1, stderr=-1,
                                  env=harness.clean_environment(SANDSTORE_SERVERS=cluster.servers()))
            self.addCleanup(child.stderr.close)
            child.stdin.write(os.urandom(FILE_BYTES))
            child.stdin.close()
            while child.poll() is None:
                most = max(most, stored() - before)
                time.sleep(0.01)  # Between looks at what comes and goes.
            if child.returncode != 0:
                break
        said = child.stderr.read()
        self.assertTrue(b"No space left" in said or b"is full" in said, said)
        self.assertLessEqual(most, 2)
        wait_until("what it had stored is gone", lambda: stored() <= before)

    def test_nodes_start_again_on_full_disks(self):
        cluster = self.small_disks()
        contents, _ = self.fill(cluster)
        for node in cluster.nodes:
            node.kill()
        cluster.start().await_leader()
        for i, content in enumerate(contents):
            self.assertEqual(cluster.cat(f"/f{i}"), content)
        cluster.fs("rm", "/f0")


if __name__ == "__main__":
    harness.main()
