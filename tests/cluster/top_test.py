"""`sandstore top` and `sandstore status`, as a person at a terminal meets them: a pseudo terminal stands for it."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios

import harness
from harness import SANDSTORE, ClusterTest, clean_environment, wait_until


class Screen:
    """What a terminal of this size shows: as much of its language as `top` speaks."""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.lines = [" " * columns for _ in range(rows)]
        self.row = self.column = 0
        self.alternate = self.cursor_hidden = self.overflowed = False
        self.left = ""

    def feed(self, text):
        text = self.left + text
        position = 0
        pattern = re.compile(r"\x1b\[(\??)([\d;]*)([A-Za-z])|\r|\n|[^\x1b\r\n]")
        while position < len(text):
            match = pattern.match(text, position)
            if not match:
                break  # The rest of a sequence comes with the next bytes.
            position = match.end()
            self._take(match)
        self.left = text[position:]

    def _take(self, match):
        if match.group(0) == "\r":
            self.column = 0
        elif match.group(0) == "\n":
            self.row += 1
        elif match.group(3) is None:
            if self.column >= self.columns or self.row >= self.rows:
                self.overflowed = True
                return
            line = self.lines[self.row]
            self.lines[self.row] = line[:self.column] + match.group(0) + line[self.column + 1:]
            self.column += 1
        else:
            self._steer(match.group(1), match.group(2), match.group(3))

    def _steer(self, private, numbers, letter):
        if private:
            if numbers == "1049":
                self.alternate = letter == "h"
            if numbers == "25":
                self.cursor_hidden = letter == "l"
        elif letter == "H":
            self.row = self.column = 0
        elif letter == "K":
            self.lines[self.row] = self.lines[self.row][:self.column] + " " * (self.columns - self.column)
        elif letter == "J":
            for row in range(self.row + (numbers == ""), self.rows):
                self.lines[row] = " " * self.columns

    def text(self):
        return "\n".join(line.rstrip() for line in self.lines)


class Terminal:
    def __init__(self, command, columns, rows, env):
        self.master, slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(slave)

        def take_over():  # In the child: this terminal is its own, so that Ctrl-C reaches it.
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.child = harness.subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env,
                                              preexec_fn=take_over)
        self.slave = slave

    def resize(self, columns, rows):
        self.screen = Screen(columns, rows)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        """Takes in what was written so far."""
        while select.select([self.master], [], [], 0)[0]:
            self.screen.feed(os.read(self.master, 65536).decode(errors="replace"))
        return self.screen

    def shows(self, *parts):
        text = self.read().text()
        return text if all(part in text for part in parts) else None

    def press(self, keys):
        os.write(self.master, keys)

    def restored(self):
        screen = self.read()
        return not screen.alternate and not screen.cursor_hidden and termios.tcgetattr(self.slave) == self.before

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        os.close(self.slave)
        os.close(self.master)


class Top(ClusterTest):
    @classmethod
    def setUpClass(cls):
        cls.nodes = harness.Cluster(size=3).start()
        cls.addClassCleanup(cls.nodes.close)
        cls.leader = cls.nodes.await_leader()

    def environment(self, **extra):
        usual = {"SANDSTORE_SERVERS": self.nodes.servers(), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        return clean_environment(**{**usual, **extra})

    def top(self, columns=80, rows=24, **extra):
        terminal = Terminal([SANDSTORE, "top"], columns, rows, self.environment(**extra))
        self.addCleanup(terminal.close)
        wait_until("a frame is shown", lambda: terminal.shows("sandstore top", "q quits"))
        return terminal

    def test_eighty_by_twenty_four_holds_all_and_q_leaves_the_terminal_as_it_was(self):
        terminal = self.top()
        text = terminal.shows("3 of 3 nodes up", f"{self.leader.node_id} leads", "requests/s", "fsync p99", "q quits")
        self.assertIsNotNone(text, terminal.read().text())
        for node in self.nodes.nodes:
            role = "leader" if node is self.leader else "follower"
            self.assertRegex(text, rf"(?m)^{node.node_id} +{role} +\d+ +\d+")
        self.assertRegex(text, rf"(?m)^\d\d:\d\d:\d\d {self.leader.node_id} leads in term \d+")
        self.assertTrue(terminal.screen.alternate and terminal.screen.cursor_hidden)
        self.assertFalse(terminal.screen.overflowed)
        terminal.press(b"q")
        self.assertEqual(terminal.child.wait(harness.PATIENCE_S), 0)
        self.assertTrue(terminal.restored())

    def test_it_moves_by_itself_and_follows_the_size_of_the_terminal(self):
        terminal = self.top()
        committed = rf"(?m)^{self.leader.node_id} +leader +\d+ +(\d+)"
        before = int(re.search(committed, terminal.read().text()).group(1))
        self.nodes.fs("mkdir", "/one")

        def moved():
            found = re.search(committed, terminal.read().text())
            return found and int(found.group(1)) > before
        wait_until("the commit index moves", moved)
        self.assertNotIn("CHUNKS", terminal.read().text())
        terminal.resize(140, 40)
        wait_until("more columns are shown", lambda: terminal.shows("CHUNKS", "VERSION"))
        terminal.resize(40, 10)
        wait_until("it fits a small one", lambda: terminal.shows("sandstore top", "q quits"))
        self.assertFalse(terminal.read().overflowed)
        terminal.press(b"r")
        terminal.press(b"q")
        self.assertEqual(terminal.child.wait(harness.PATIENCE_S), 0)

    def test_ctrl_c_and_sigterm_leave_the_terminal_as_it_was(self):
        terminal = self.top()
        terminal.press(b"\x03")
        self.assertEqual(terminal.child.wait(harness.PATIENCE_S), -signal.SIGINT)
        self.assertTrue(terminal.restored())
        terminal = self.top()
        terminal.child.terminate()
        self.assertEqual(terminal.child.wait(harness.PATIENCE_S), -signal.SIGTERM)
        self.assertTrue(terminal.restored())

    def test_where_the_locale_has_no_utf8_it_shows_plain_characters(self):
        terminal = self.top(LC_ALL="C", NO_COLOR="1")
        wait_until("a curve is drawn", lambda: re.search(r"(?m)^requests/s .*[_.:=#]", terminal.read().text()))
        self.assertTrue(terminal.read().text().isascii(), terminal.read().text())

    def test_without_a_terminal_it_prints_one_frame(self):
        done = self.nodes.sandstore("top")
        self.assertEqual(done.returncode, 0, done.stderr)
        text = done.stdout.decode()
        self.assertNotIn("\x1b", text)
        self.assertIn("3 of 3 nodes up", text)
        self.assertEqual(self.nodes.sandstore("top", "--once").returncode, 0)
        nobody = harness.run([SANDSTORE, "top", "--timeout=1s"],
                             env=clean_environment(SANDSTORE_SERVERS=f"127.0.0.1:{harness.free_port()}"))
        self.assertEqual(nobody.returncode, 1)
        self.assertIn(b"no node answers", nobody.stderr)

    def test_the_table_of_status_tells_each_node_in_a_line(self):
        done = self.nodes.sandstore("status")
        self.assertEqual(done.returncode, 0, done.stderr)
        head, *lines = done.stdout.decode().split("\n\n", 1)[1].splitlines()
        self.assertEqual(head.split(), ["NODE", "ADDRESS", "ROLE", "TERM", "COMMITTED", "APPLIED", "LAG", "SNAPSHOT",
                                        "CHUNKS", "STORED", "FREE", "UPTIME", "VERSION"])
        self.assertEqual([line.split()[0] for line in lines], ["node-1", "node-2", "node-3"])
        for line in lines:
            self.assertEqual(line.split()[2], "leader" if line.startswith(self.leader.node_id) else "follower")
        # What scripts rely on.
        status = self.nodes.status()
        self.assertEqual(status["leader"], self.leader.node_id)
        self.assertEqual(set(status["serves"]), {"yes", "why"})
        for node in status["nodes"]:
            self.assertTrue({"id", "address", "role", "up", "term", "commit_index", "applied_index", "version",
                             "commit", "profile", "figures", "may_be_stopped"} <= set(node), node)
            self.assertTrue(node["may_be_stopped"]["yes"], node)


if __name__ == "__main__":
    harness.main()
