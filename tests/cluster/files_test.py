"""What other clients see of a file while it is put, replaced and read, and what is left when a put is broken off: the
old content or the new, nobody else's file taken away, and nothing left behind."""
import os
import signal
import time

import harness
import volumes
from harness import SANDSTORE, ClusterTest, clean_environment, spawn, wait_until

MIB = 1 << 20


class Files(ClusterTest):
    def setUp(self):
        self.nodes = self.cluster().start()
        self.nodes.await_leader()

    def begin(self, *arguments):
        """A `sandstore fs` command whose standard input and output are pipes of this test."""
        child = spawn([SANDSTORE, "fs", *arguments], stdin=-1, stdout=-1, stderr=-1,
                      env=clean_environment(SANDSTORE_SERVERS=self.nodes.servers()))
        self.addCleanup(self.end, child)
        return child

    @staticmethod
    def end(child):
        if child.poll() is None:
            child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout, child.stderr):
            if not pipe.closed:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass

    def names(self):
        return self.nodes.fs("ls", "/").decode().split()

    def counts(self):
        """How many inodes and chunks there are."""
        return self.nodes.fs("df").split()[-3:-1]

    def begin_put(self, path, length):
        """A put whose first `length` bytes are stored, and that waits for more."""
        before = self.counts()
        child = self.begin("put", "-", path)
        child.stdin.write(os.urandom(length))
        child.stdin.flush()
        wait_until("the first pieces are stored", lambda: self.counts() != before)
        return child

    def test_a_put_shows_nothing_before_it_is_complete(self):
        child = self.begin_put("/new", 20 * MIB)
        self.assertEqual(self.names(), [])
        child.stdin.write(b"the end")
        child.stdin.close()
        self.assertEqual(child.wait(harness.PATIENCE_S), 0)
        self.assertEqual(self.names(), ["new"])
        self.assertEqual(len(self.nodes.cat("/new")), 20 * MIB + 7)

    def test_a_put_that_is_broken_off_takes_away_what_is_its_own_and_nothing_else(self):
        empty = self.counts()
        child = self.begin_put("/race", 20 * MIB)
        self.nodes.put("/race", b"precious")
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(harness.PATIENCE_S), 130)
        self.assertIn(b"interrupted, nothing was changed", child.stderr.read())
        self.assertEqual(self.nodes.cat("/race"), b"precious")
        self.assertEqual(self.names(), ["race"])
        self.nodes.fs("rm", "/race")
        wait_until("nothing is left of the upload", lambda: self.counts() == empty)

    def test_what_a_refused_put_has_stored_is_collected_at_once(self):
        self.nodes.await_feature_level(2)
        before = self.chunk_files()
        refused = self.nodes.sandstore("fs", "put", "-", "/no-such-directory/f", input=b"x" * MIB)
        self.assertEqual(refused.returncode, 1)
        self.assertIn(b"No such file or directory", refused.stderr)
        wait_until("its chunk is gone from every node", lambda: self.chunk_files() == before)

    def test_chunks_are_as_long_as_the_nodes_say(self):
        for size in (64 * 1024, MIB):
            cluster = self.cluster(chunk_size=f"{size // 1024}KiB").start()
            cluster.await_leader()
            content = os.urandom(12 * MIB + 5)
            cluster.put("/f", content)
            cluster.put("/short", content[:size + 1])
            self.assertEqual(cluster.cat("/f"), content)
            self.assertEqual(cluster.cat("/short"), content[:size + 1])
            files = self.chunk_files(cluster)
            self.assertGreaterEqual(len(files), 2 * (len(content) // size))
            self.assertEqual(max(files.values()), size)
            cluster.close()

    def chunk_files(self, cluster=None):
        """The chunks on the disks of all nodes, and how long they are."""
        return {(node.node_id, chunk): stored.length for node in (cluster or self.nodes).nodes
                for chunk, stored in volumes.chunks(node.data_dir).items()}

    def test_a_put_that_is_killed_leaves_no_name(self):
        child = self.begin_put("/new", 20 * MIB)
        child.kill()
        child.wait()
        self.assertEqual(self.names(), [])
        self.nodes.put("/new", b"another one's")
        self.assertEqual(self.nodes.cat("/new"), b"another one's")

    def long_file(self):
        """So long that a transfer is under way for seconds: 1 GiB, of which little is to be stored here."""
        path = os.path.join(self.nodes.folder, "local")
        with open(path, "wb") as file:
            file.write(os.urandom(MIB))
            file.truncate(512 * MIB)
            file.seek(0, os.SEEK_END)
            file.write(os.urandom(MIB))
        return path

    def stop(self, child):
        child.send_signal(signal.SIGSTOP)
        self.assertIsNone(child.poll(), "it was over too early")

    def assertStored(self, path, remote):
        with open(path, "rb") as file:
            child = self.begin("cat", remote)
            while piece := child.stdout.read(MIB):
                self.assertTrue(piece == file.read(len(piece)))
            self.assertEqual(file.read(1), b"")
            self.assertEqual(child.wait(harness.PATIENCE_S), 0, child.stderr.read())

    def put_stopped(self, what, happened, *flags):
        """Puts a long file, stopped in the middle until it has happened. What the command said."""
        empty = self.counts()
        local = self.long_file()
        child = self.begin("put", *flags, local, "/f")
        wait_until("the upload has begun", lambda: self.counts() != empty)
        self.stop(child)
        self.assertEqual(self.names(), [])
        wait_until(what, lambda: happened(empty), seconds=240)
        child.send_signal(signal.SIGCONT)
        said = child.stderr.read()
        self.assertEqual(child.wait(2 * harness.PATIENCE_S), 0, said)
        self.assertStored(local, "/f")
        return said

    def test_a_put_that_was_stopped_for_longer_than_the_cluster_waits_begins_again(self):
        said = self.put_stopped("the upload was given up", lambda empty: self.counts() == empty)
        self.assertIn(b"it begins again", said)

    def test_a_put_that_was_stopped_for_longer_than_its_timeout_goes_on(self):
        since = time.monotonic()
        said = self.put_stopped("time passes", lambda _: time.monotonic() > since + 30, "--timeout=10s")
        self.assertNotIn(b"it begins again", said)

    def test_a_reader_gets_the_content_that_it_began_with_to_its_end(self):
        old = os.urandom(40 * MIB)
        for change in (lambda: self.nodes.put("/f", os.urandom(30 * MIB)), lambda: self.nodes.put("/f", b"short"),
                       lambda: self.nodes.fs("rm", "/f"),
                       lambda: self.nodes.fs("truncate", "--size=0", "/f")):
            self.nodes.put("/f", old)
            reader = self.begin("cat", "/f")
            begun = reader.stdout.read(MIB)
            change()
            rest = reader.stdout.read()
            self.assertEqual(reader.wait(harness.PATIENCE_S), 0, reader.stderr.read())
            self.assertTrue(begun + rest == old, f"{len(begun + rest)} bytes, not those of the old content")

    def test_a_reader_that_stands_still_is_kept_its_content(self):
        def leases_given():
            lines = [line for node in self.nodes.nodes for line in node.get("/metrics")[1].decode().split("\n")]
            return sum(int(line.rsplit(" ", 1)[1]) for line in lines
                       if line.startswith("sandstore_request_duration_seconds_count{")
                       and 'op="lease_file"' in line and 'code="ok"' in line)

        old = os.urandom(40 * MIB)
        self.nodes.put("/f", old)
        before = leases_given()
        reader = self.begin("cat", "/f")
        begun = reader.stdout.read(MIB)
        self.nodes.fs("rm", "/f")
        # One when it began; a lease that is not prolonged ends a minute later.
        wait_until("its lease is prolonged", lambda: leases_given() >= before + 2)
        rest = reader.stdout.read()
        self.assertEqual(reader.wait(harness.PATIENCE_S), 0, reader.stderr.read())
        self.assertTrue(begun + rest == old)


if __name__ == "__main__":
    harness.main()
