"""What people do with the commands themselves: dots for names, two sources of one name, targets that are no files,
output that cannot be written, closed descriptors, odd bytes in values."""
import array
import contextlib
import fcntl
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import termios

import harness
from harness import SANDSTORE, ClusterTest, clean_environment, run, spawn, wait_until


class Names(ClusterTest):
    def setUp(self):
        self.nodes = self.cluster().start()
        self.nodes.await_leader()
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="sandstore-commands-"))

    def refused(self, *arguments, input=b""):
        done = self.nodes.sandstore("fs", *arguments, input=input)
        self.assertNotEqual(done.returncode, 0, arguments)
        return done.stderr.decode()

    def test_the_root_is_not_removed_however_it_is_named(self):
        self.nodes.put("/kept", b"kept")
        for name in (".", "./", "/.", "/./", "//", "/"):
            self.assertIn("refusing to remove the root", self.refused("rm", "-rf", "--", name))
        self.assertIn("is empty", self.refused("rm", "-rf", ""))
        self.nodes.fs("mkdir", "/d")
        for name in ("/d/.", "/d/..", ".."):
            self.assertIn("refusing to remove", self.refused("rm", "-rf", "--", name))
            self.assertIn("refusing to move", self.refused("mv", "--", name, "/other"))
        self.assertEqual(self.nodes.cat("/kept"), b"kept")

    def test_an_empty_name_is_an_error_everywhere(self):
        for words in (["ls", ""], ["cat", ""], ["mkdir", ""], ["put", "-", ""], ["get", "", "-"], ["mv", "", "/x"],
                      ["mv", "/x", ""], ["truncate", "-s", "1", ""], ["stat", ""], ["tree", ""]):
            self.assertIn("is empty", self.refused(*words))
        self.assertEqual(self.nodes.fs("ls", "-a", "/"), b"")

    def test_a_second_source_of_the_same_name_does_not_replace_the_first(self):
        self.nodes.fs("mkdir", "/a", "/b", "/to")
        for place in ("a", "b"):
            self.nodes.put(f"/{place}/x", place.encode())
            os.mkdir(f"{self.folder}/{place}")
            with open(f"{self.folder}/{place}/y", "w", encoding="utf-8") as file:
                file.write(place)
        self.assertIn("will not overwrite", self.refused("mv", "/a/x", "/b/x", "/to"))
        self.assertEqual([self.nodes.cat("/to/x"), self.nodes.cat("/b/x")], [b"a", b"b"])
        self.assertIn("will not overwrite", self.refused("put", f"{self.folder}/a/y", f"{self.folder}/b/y", "/to"))
        self.assertEqual(self.nodes.cat("/to/y"), b"a")
        self.nodes.put("/a/x", b"a again")
        self.assertIn("will not overwrite", self.refused("get", "/to/x", "/b/x", self.folder))
        with open(f"{self.folder}/x", "rb") as file:
            self.assertEqual(file.read(), b"a")


class LocalTargets(ClusterTest):
    def setUp(self):
        self.nodes = self.cluster(size=1).start()
        self.nodes.await_leader()
        self.nodes.put("/file", b"content")
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="sandstore-commands-"))

    def path(self, name, content=None, mode=0o644):
        path = f"{self.folder}/{name}"
        if content is not None:
            with open(path, "wb") as file:
                file.write(content)
            os.chmod(path, mode)
        return path

    def read(self, name):
        with open(f"{self.folder}/{name}", "rb") as file:
            return file.read()

    def test_a_file_that_is_there_keeps_its_mode_and_its_links(self):
        path = self.path("kept", b"before", mode=0o600)
        os.symlink("kept", self.path("soft"))
        self.nodes.fs("get", "/file", self.path("soft"))
        self.assertTrue(os.path.islink(self.path("soft")))
        self.assertEqual((self.read("kept"), stat.S_IMODE(os.stat(path).st_mode)), (b"content", 0o600))
        hard = self.path("hard", b"before, and longer than what comes")
        os.link(hard, self.path("other"))
        self.nodes.fs("get", "/file", hard)
        self.assertEqual((self.read("other"), os.stat(hard).st_nlink), (b"content", 2))
        os.symlink("nowhere", self.path("dangling"))
        self.assertNotEqual(self.nodes.sandstore("fs", "get", "/file", self.path("dangling")).returncode, 0)
        self.assertEqual(sorted(os.listdir(self.folder)), ["dangling", "hard", "kept", "other", "soft"])

    def test_pipes_and_descriptors_are_written_to(self):
        pipe = self.path("pipe")
        os.mkfifo(pipe)
        reader = spawn(["cat", pipe], stdout=subprocess.PIPE)
        self.addCleanup(reader.stdout.close)
        self.nodes.fs("get", "/file", pipe)
        self.assertEqual(reader.stdout.read(), b"content")
        self.assertEqual(reader.wait(harness.PATIENCE_S), 0)
        self.assertTrue(stat.S_ISFIFO(os.stat(pipe).st_mode))
        self.nodes.fs("get", "/file", "/dev/null")
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/null").st_mode))
        with open(self.path("nine"), "w+b") as nine:
            env = clean_environment(SANDSTORE_SERVERS=self.nodes.servers())
            done = run([SANDSTORE, "fs", "get", "/file", f"/dev/fd/{nine.fileno()}"], pass_fds=[nine.fileno()], env=env)
            self.assertEqual(done.returncode, 0, done.stderr.decode())
            self.assertEqual(nine.read(), b"content")

    def test_a_terminal_that_ends_leaves_nothing_half_done(self):
        for sign in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            read_end, write_end = os.pipe()
            put = spawn([SANDSTORE, "fs", "put", "-", "/new"], stdin=read_end, stderr=subprocess.PIPE,
                        env=clean_environment(SANDSTORE_SERVERS=self.nodes.servers()))
            os.close(read_end)
            os.write(write_end, b"x" * 1000)
            wait_until("it reads", lambda w=write_end: self.is_drained(w))
            put.send_signal(sign)
            self.assertEqual(put.wait(harness.PATIENCE_S), 128 + sign)
            self.assertIn(b"nothing was changed", put.stderr.read())
            put.stderr.close()
            os.close(write_end)
        self.assertEqual(self.nodes.fs("ls", "-a", "/"), b"file\n")

    @staticmethod
    def is_drained(pipe):
        waiting = array.array("i", [0])
        fcntl.ioctl(pipe, termios.FIONREAD, waiting)
        return waiting[0] == 0

    def test_output_that_cannot_be_written_is_an_error(self):
        env = clean_environment(SANDSTORE_SERVERS=self.nodes.servers())
        for words in ("fs ls /", "fs stat /file", "fs tree /", "fs df", "fs cat /file", "fs get /file -", "status",
                      "status --json", "cluster members --json", "version", "--version", "--help", "node --help"):
            with open("/dev/full", "wb") as full:
                done = subprocess.run([SANDSTORE, *words.split()], stdout=full, stderr=subprocess.PIPE, env=env,
                                      timeout=harness.PATIENCE_S, check=False)
            self.assertEqual(done.returncode, 1, words)
            self.assertRegex(done.stderr, b"cannot write to standard output|No space left on device", words)


class Values(ClusterTest):
    def node(self, **environment):
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="sandstore-commands-"))
        return run([SANDSTORE, "node", "--replicator=noop", f"--data-dir={folder}"],
                   env=clean_environment(**environment))

    def test_an_odd_value_is_shown_in_one_line_with_the_variable_that_holds_it(self):
        for value in ("node-1\r", "node-1\n", "\x1b[2J", "node\u009b31m"):
            done = self.node(NODE_ID=value)
            self.assertEqual(done.returncode, 2)
            text = done.stderr.decode()
            self.assertEqual(text.count("\n"), 1, text)
            self.assertNotRegex(text[:-1], "[\x00-\x1f\x7f-\x9f]")
            self.assertIn("NODE_ID", text)
            self.assertRegex(text, re.escape("\\"))

    def test_a_closed_standard_output_is_no_file_of_the_data_directory(self):
        cluster = self.cluster(size=1)
        node = cluster.nodes[0]
        node.start()
        command, folder = node.command, node.data_dir
        node.kill()
        child = subprocess.Popen(["sh", "-c", 'exec >&- 2>&- <&-; exec "$@"', "sh", *command],
                                 preexec_fn=harness.die_with_parent, env=clean_environment())
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        wait_until("it is ready", lambda: node.get("/readyz")[0] == 200)
        for at, _, files in os.walk(folder):
            for name in files:
                with contextlib.suppress(FileNotFoundError), open(f"{at}/{name}", "rb") as file:
                    self.assertNotIn(b"Became Leader", file.read(), name)


class Directories(ClusterTest):
    def test_a_node_whose_directory_is_removed_stops(self):
        cluster = self.cluster().start()
        leader = cluster.await_leader()
        gone = next(node for node in cluster.nodes if node is not leader)
        # The node makes and removes files there meanwhile.
        wait_until("its directory is gone", lambda: subprocess.run(["rm", "-rf", gone.data_dir]).returncode == 0)
        # Whatever notices first: the look at the directory, or a file that the log was to make there.
        self.assertRefused(gone, "data directory .* is gone|No such file or directory")
        cluster.put("/file", b"written by the two that are left")

    def test_the_trace_of_an_earlier_run_is_kept(self):
        cluster = self.cluster(size=1, **{"trace-file": f"{tempfile.mkdtemp(prefix='sandstore-commands-')}/trace"})
        node = cluster.nodes[0]
        path = node.flags["trace-file"]
        self.addCleanup(shutil.rmtree, os.path.dirname(path))
        node.start()
        cluster.await_leader()
        node.kill()
        with open(path, "rb") as file:
            before = file.read()
        node.start()
        cluster.await_leader()
        with open(f"{path}.1", "rb") as file:
            self.assertEqual(file.read(), before)
        self.assertEqual(sorted(os.listdir(os.path.dirname(path))), ["trace", "trace.1"])


if __name__ == "__main__":
    harness.main()
