"""`sandstore demo`, as a person at a terminal meets it: one block, the nodes' logs, and nothing left after Ctrl-C."""
import os
import re
import signal
import socket
import tempfile
import time

import harness
from harness import SANDSTORE, ClusterTest, Process, clean_environment, free_port, lines_with, run, wait_until


def three_ports_from():
    """The first of three free ports in a row."""
    while True:
        first = free_port()
        try:
            for port in (first + 1, first + 2):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first
        except OSError:
            pass


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


class Demo(ClusterTest):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory(prefix="sandstore-test-")
        self.addCleanup(self.place.cleanup)
        self.port, self.http_port = three_ports_from(), three_ports_from()

    def start(self, *flags):
        os.makedirs(f"{self.place.name}/tmp", exist_ok=True)
        demo = Process("demo", [SANDSTORE, "demo", f"--port={self.port}", f"--http-port={self.http_port}", *flags],
                       f"{self.place.name}/demo.log", env=clean_environment(TMPDIR=f"{self.place.name}/tmp"))
        self.addCleanup(demo.kill)
        return demo.start()

    def await_block(self, demo):
        def printed():
            self.assertTrue(demo.running(), demo.log())
            return "Try this" in demo.log() and "Ctrl-C" in demo.log()
        wait_until("the block is printed", printed)
        return demo.log()

    def stop(self, demo, nodes=3):
        children = children_of(demo.child.pid)
        self.assertEqual(len(children), nodes)
        began = time.monotonic()
        demo.child.send_signal(signal.SIGINT)
        self.assertEqual(demo.wait(), 0, demo.log())
        self.assertLess(time.monotonic() - began, 3)
        for child in children:
            self.assertFalse(os.path.exists(f"/proc/{child}"), "a node outlived the demo")

    def fs(self, *arguments, input=b""):
        servers = ",".join(f"127.0.0.1:{self.port + i}" for i in range(3))
        return run([SANDSTORE, "fs", *arguments], input=input, env=clean_environment(SANDSTORE_SERVERS=servers))

    def test_from_the_block_to_ctrl_c(self):
        began = time.monotonic()
        demo = self.start()
        block = self.await_block(demo)
        self.assertLess(time.monotonic() - began, 10)
        for i in range(3):
            self.assertIn(f"127.0.0.1:{self.port + i}", block)
            self.assertIn(f"http://127.0.0.1:{self.http_port + i}", block)
        self.assertRegex(block, r"leader +node-[123]")
        self.assertRegex(block, r"data +" + re.escape(self.place.name))
        self.assertTrue(os.listdir(f"{self.place.name}/tmp"))
        wait_until("the log of the leader, with its name in front",
                   lambda: lines_with(demo.log(), r"^node-[123] \| .* Became Leader "))

        # The lines to try are true.
        for line in lines_with(block, r"^  .* --servers "):
            done = run(["bash", "-c", line.strip()], cwd=os.getcwd())
            self.assertEqual(done.returncode, 0, f"{line}: {done.stderr.decode()}")
        self.assertEqual(self.fs("mkdir", "/a").returncode, 0)
        self.assertEqual(self.fs("put", "-", "/a/b", input=b"text").returncode, 0)
        self.assertEqual(self.fs("cat", "/a/b").stdout, b"text")

        self.stop(demo)
        self.assertEqual(os.listdir(f"{self.place.name}/tmp"), [])

    def test_what_a_node_said_before_the_block_is_shown_although_it_says_nothing_more(self):
        demo = self.start("--nodes=1")
        self.await_block(demo)
        wait_until("the log of the leader, with its name in front",
                   lambda: lines_with(demo.log(), r"^node-1 \| .* Became Leader "))
        self.stop(demo, nodes=1)

    def test_kept_data_is_there_the_next_time(self):
        demo = self.start(f"--dir={self.place.name}/kept")
        self.await_block(demo)
        self.assertEqual(self.fs("put", "-", "/b", input=b"kept").returncode, 0)
        self.stop(demo)
        os.truncate(demo.log_path, 0)
        demo = self.start(f"--dir={self.place.name}/kept")
        self.await_block(demo)
        self.assertEqual(self.fs("cat", "/b").stdout, b"kept")
        self.stop(demo)

    def test_keep_leaves_the_directory(self):
        demo = self.start("--keep")
        self.await_block(demo)
        self.stop(demo)
        self.assertEqual(len(os.listdir(f"{self.place.name}/tmp")), 1)

    def test_a_taken_port_is_named_with_the_flag_that_changes_it(self):
        for port, flag in ((self.port + 1, "--port"), (self.http_port + 2, "--http-port")):
            with socket.socket() as taken:
                taken.bind(("127.0.0.1", port))
                taken.listen()
                demo = self.start()
                self.assertRefused(demo, rf"\b{port}\b.*taken.*{flag}\b")
        self.assertEqual(os.listdir(f"{self.place.name}/tmp"), [])

    def test_a_killed_demo_takes_its_nodes_along(self):
        demo = self.start()
        self.await_block(demo)
        children = children_of(demo.child.pid)
        demo.child.kill()
        demo.wait()
        wait_until("no node is left", lambda: not any(os.path.exists(f"/proc/{child}") for child in children))

    def test_errors_of_fs_read_as_a_shell_user_expects(self):
        demo = self.start()
        self.await_block(demo)
        self.assertEqual(self.fs("mkdir", "/d", "/d/e").returncode, 0)
        self.assertEqual(self.fs("put", "-", "/f", input=b"text").returncode, 0)
        for arguments, words in ((["cat", "/a/b"], "/a/b: No such file or directory"),
                                 (["mkdir", "/d"], "/d: File exists"),
                                 (["ls", "/f/x"], "/f/x: Not a directory"),
                                 (["rm", "/d"], "/d: Is a directory"),
                                 (["cat", "/d"], "/d: Is a directory"),
                                 (["mkdir", "/" + "n" * 256], "File name too long"),
                                 (["stat", "/d/../f"], "Invalid argument")):
            done = self.fs(*arguments)
            self.assertEqual(done.returncode, 1, arguments)
            self.assertRegex(done.stderr.decode(), f"^sandstore: .*{re.escape(words)}")
        done = self.fs("lss", "/")
        self.assertEqual(done.returncode, 2)
        self.assertIn("ls", done.stderr.decode())
        self.stop(demo)


if __name__ == "__main__":
    harness.main()
