"""scripts/chaos: its schedules, its network, that it heals whatever ends it, and a short run of it."""
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

import harness
from harness import wait_until

sys.path.insert(0, os.path.join(harness.SOURCE_DIR, "scripts"))
from chaos_tool import faults, links, schedule  # noqa: E402: needs the path above.
from chaos_tool import report  # noqa: E402
from chaos_tool.analysis import Analysis  # noqa: E402
from chaos_tool.local import LocalCluster  # noqa: E402

CHAOS = os.path.join(harness.SOURCE_DIR, "scripts", "chaos")
# Its leader is killed, cut off and given another time; nodes are paused, and have a slow disk.
SHORT_RUN = ["--seed=1462", "--duration=25s", "--faults=kill,partition,pause,slow-disk,clock", "--load=light"]


def chaos(*arguments):
    return subprocess.run([CHAOS, *arguments], capture_output=True, text=True, timeout=300,
                          env=harness.clean_environment(SANDSTORE_BINARY_DIR=harness.BINARY_DIR))


class Schedules(unittest.TestCase):
    ALL = schedule.kinds_of(schedule.LOCAL)

    def test_the_same_seed_gives_the_same_schedule_and_another_seed_another(self):
        drawn = [schedule.draw(seed, 600, 3, self.ALL) for seed in (1, 1, 2)]
        self.assertEqual(drawn[0], drawn[1])
        self.assertNotEqual(drawn[0], drawn[2])

    def test_faults_begin_and_end_within_the_run_and_all_kinds_come(self):
        for mode in (schedule.LOCAL, schedule.COMPOSE):
            kinds = schedule.kinds_of(mode)
            seen = set()
            for seed in range(50):
                drawn = schedule.draw(seed, 300, 3, kinds, mode)
                self.assertGreater(len(drawn), 10)
                self.assertEqual([fault.number for fault in drawn], list(range(1, len(drawn) + 1)))
                for fault in drawn:
                    self.assertGreaterEqual(fault.at_s, schedule.CALM_BEFORE_S)
                    self.assertLessEqual(fault.at_s + fault.for_s, 300 - schedule.CALM_AFTER_S)
                seen |= {fault.kind for fault in drawn}
            self.assertEqual(seen, set(kinds))

    def test_dry_run_prints_the_schedule_and_touches_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            report = os.path.join(folder, "report")
            runs = [chaos("--dry-run", "--seed=42", "--duration=5m", f"--report={report}") for _ in range(2)]
            self.assertEqual(runs[0].returncode, 0, runs[0].stderr)
            self.assertEqual(runs[0].stdout, runs[1].stdout)
            self.assertEqual(runs[0].stdout, schedule.to_text(42, 300, 3, self.ALL, schedule.LOCAL, schedule.draw(
                42, 300, 3, self.ALL)))
            self.assertEqual(os.listdir(folder), [])

    def test_what_cannot_be_is_refused_with_a_sentence(self):
        for arguments, sentence in ((["--faults=kil"], '"kil" is no fault; there are kill, pause'),
                                    (["--compose", "--faults=slow-network"], "use --local"),
                                    (["--faults=etcd"], "use --compose"),
                                    (["--duration=ten"], '"ten" is no duration'),
                                    (["--compose", "--nodes=5"], "docker-compose.yaml has three"),
                                    (["--nodes=1"], "expected 2 to 9")):
            done = chaos("--dry-run", *arguments)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(sentence, done.stderr)

    def test_a_partition_cuts_the_links_that_its_shape_says(self):
        nodes = ["a", "b", "c"]
        self.assertEqual(set(faults.pairs_of("both-ways", "a", nodes)),
                         {("a", "b"), ("b", "a"), ("a", "c"), ("c", "a")})
        self.assertEqual(set(faults.pairs_of("one-way-in", "a", nodes)), {("b", "a"), ("c", "a")})
        self.assertEqual(set(faults.pairs_of("one-way-out", "a", nodes)), {("a", "b"), ("a", "c")})
        self.assertEqual(set(faults.pairs_of("pair", "b", nodes)), {("a", "b"), ("b", "a")})


def text_field(number, value):
    return bytes([number << 3 | 2, len(value)]) + value


def greeting(kind, node_id=b""):
    """The first frame of a connection: an Envelope whose field 150 is a Hello."""
    hello = bytes([2 << 3, kind]) + (text_field(4, node_id) if node_id else b"")
    body = bytes([0xB2, 0x09, len(hello)]) + hello
    return struct.pack("<4sBBHIIII", b"SAND", 1, 0, 0, len(body), 0, 0, 0) + body


class Echo:
    """Behind the proxy: keeps what it hears, and answers with it."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.heard = b""
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    def _echo(self, connection):
        with connection:
            while data := connection.recv(4096):
                self.heard += data
                connection.sendall(data)


class Network(unittest.TestCase):
    """A connection from a to b through the proxy."""

    def setUp(self):
        self.behind = {name: Echo() for name in ("a", "b")}
        self.ports = {name: harness.free_port() for name in self.behind}
        self.links = links.Links({name: (self.ports[name], self.behind[name].port) for name in self.behind})
        self.addCleanup(self.links.close)
        for echo in self.behind.values():
            self.addCleanup(echo.listener.close)

    def connect(self, first):
        connection = socket.create_connection(("127.0.0.1", self.ports["b"]))
        self.addCleanup(connection.close)
        connection.settimeout(harness.PATIENCE_S)
        connection.sendall(first)
        return connection

    def hear(self, connection, expected):
        data = b""
        while len(data) < len(expected):
            data += connection.recv(4096)
        self.assertEqual(data, expected)

    def test_what_is_cut_waits_and_comes_later_in_order(self):
        hello = greeting(1, b"a")
        connection = self.connect(hello)
        self.hear(connection, hello)
        self.links.cut("a", "b")
        self.links.cut("a", "b")  # By two faults.
        connection.sendall(b"one")
        connection.sendall(b"two")
        self.links.mend("a", "b")
        # Another connection is not held up, so time has passed for the first one too.
        free = self.connect(greeting(0))
        self.hear(free, greeting(0))
        self.assertNotIn(b"one", self.behind["b"].heard)
        self.assertEqual(self.links.state(), [("a", "b", "cut")])
        self.links.mend("a", "b")
        self.hear(connection, b"onetwo")
        self.assertEqual(self.links.state(), [])

    def test_one_way_means_one_way(self):
        hello = greeting(2, b"a")
        connection = self.connect(hello)
        self.hear(connection, hello)
        self.links.cut("b", "a")  # The answers.
        connection.sendall(b"one")
        wait_until("b hears a", lambda: self.behind["b"].heard.endswith(b"one"))
        connection.settimeout(0.05)
        self.assertRaises(TimeoutError, connection.recv, 100)
        connection.settimeout(harness.PATIENCE_S)
        self.links.heal()
        self.hear(connection, b"one")

    def test_a_greeting_waits_too_and_nobody_is_called_meanwhile(self):
        self.links.cut("a", "b")
        hello = greeting(1, b"a")
        connection = self.connect(hello)
        free = self.connect(greeting(0))
        self.hear(free, greeting(0))
        self.assertEqual(self.behind["b"].heard, greeting(0))
        self.links.mend("a", "b")
        self.hear(connection, hello)

    def test_a_slow_link_delivers_everything_in_order(self):
        self.links.slow("a", "b", 0.02, 0.02)
        hello = greeting(1, b"a")
        connection = self.connect(hello)
        numbers = b"".join(b"%04d" % number for number in range(500))
        for at in range(0, len(numbers), 40):
            connection.sendall(numbers[at:at + 40])
        self.hear(connection, hello + numbers)


class Healing(unittest.TestCase):
    def fault(self, kind, **settings):
        return schedule.Fault(1, 0, 1, kind, "node-1", "node-1", tuple(settings.items()))

    def test_whatever_was_done_is_undone(self):
        cluster = LocalCluster(3)
        self.addCleanup(cluster.close)
        cluster.start()
        cluster.await_leader()
        self.assertEqual(cluster.unhealed(), [])
        cluster.pause("node-1")
        cluster.kill("node-2")
        cluster.cut("node-1", "node-3")
        cluster.slow("node-2", 50, 10)
        cluster.set_faults("node-3", disk_delay_ms=20, wall_clock_offset_ms=-5000)
        found = " ".join(cluster.unhealed())
        for sentence in ("node-1 is stopped", "node-2 does not run", "from node-1 to node-3 is cut",
                         "from node-3 to node-2 is 0.05", "node-3 has {'disk_delay_ms': 20"):
            self.assertIn(sentence, found)
        self.assertEqual(cluster.heal(), [])
        self.assertEqual(cluster.unhealed(), [])
        cluster.await_leader()

    def test_a_fault_that_fails_half_way_is_taken_back(self):
        done = []

        class Broken:
            def names(self):
                return ["node-1", "node-2"]

            def healthy(self, node_id):
                return True

            def cut(self, source, target):
                done.append(("cut", source, target))
                if source == "node-1":
                    raise OSError("no")

            def mend(self, source, target):
                done.append(("mend", source, target))
        self.assertRaises(OSError, faults.begin, self.fault("partition", shape="both-ways"), Broken(), None, [])
        self.assertEqual([pair for what, *pair in done if what == "cut"],
                         [pair for what, *pair in done if what == "mend"])

    def test_a_node_has_one_fault_at_a_time(self):
        class Healthy:
            def names(self):
                return ["node-1", "node-2"]

            def healthy(self, node_id):
                return node_id != "node-2"
        active = faults.Active(self.fault("pause"), ["node-1"])
        self.assertEqual(faults.choose_node(self.fault("kill"), Healthy(), None, []), "node-1")
        self.assertRaises(faults.Skipped, faults.choose_node, self.fault("kill"), Healthy(), None, [active])


class Figures(unittest.TestCase):
    """The history and the events of a run of ten seconds, in which the leader was killed at 3.0 s."""
    LINES = ["invoke 1000000 1 1 /d create 0", "ok 1010000 1",
             "invoke 2950000 2 1 /d write 0 100",  # Answered by the old leader in its last moment.
             "ok 3005000 2",
             "invoke 3100000 3 1 /d read 0", "ok 3200000 3 2",
             "invoke 3300000 4 1 /j note 1", "ok 3900000 4",
             "invoke 4000000 5 2 /d append 0 100", "unknown 5500000 5 timed out",
             "invoke 4200000 6 1 /d write 0 100", "ok 4300000 6",
             "invoke 9000000 7 1 /d remove 0"]

    def analysis(self, folder):
        with open(os.path.join(folder, "history.txt"), "w") as file:
            file.write("".join(f"{line}\n" for line in self.LINES))

        class Ended:
            class journal:
                began = 0.0
                events = [{"time_s": 0.5, "event": "begin"},
                          {"time_s": 0.4, "event": "leader", "node": "node-1", "term": 1},
                          {"time_s": 3.0, "event": "fault", "number": 1, "kind": "kill", "nodes": ["node-1"],
                           "settings": {}, "leader": "node-1", "term": 1, "hits_leader": True, "in_force_s": 3.01},
                          {"time_s": 3.5, "event": "leader", "node": "node-2", "term": 2},
                          {"time_s": 5.0, "event": "fault_over", "number": 1},
                          {"time_s": 10.0, "event": "over"}]
            history_path = os.path.join(folder, "history.txt")
        return Analysis(Ended)

    def test_elections_pauses_and_outcomes_are_what_the_history_says(self):
        with tempfile.TemporaryDirectory() as folder:
            analysis = self.analysis(folder)
        self.assertEqual(len(analysis.elections), 1)
        self.assertAlmostEqual(analysis.elections[0]["leader_s"], 0.5)
        self.assertAlmostEqual(analysis.elections[0]["write_s"], 0.9)
        self.assertEqual([(round(a, 3), round(b, 3)) for a, b in analysis.pauses], [(1.01, 3.005), (3.005, 3.9)])
        outcomes = analysis.outcomes()
        self.assertEqual(dict(outcomes["write"]), {"ok": 2})
        self.assertEqual((dict(outcomes["append"]), dict(outcomes["remove"])), ({"unknown": 1}, {"open": 1}))
        self.assertEqual(analysis.seconds[3][:2], (3, 0))
        self.assertEqual(analysis.seconds[5][:2], (0, 1))
        self.assertEqual(report.spread([0.3, 0.1, 0.2, None]), "median 0.20 s, p90 0.30 s, max 0.30 s  (3)")


class Runs(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="sandstore-chaos-")
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def events(self, kind):
        try:
            with open(self.path("events.jsonl")) as file:
                lines = file.read().split("\n")[:-1]
        except FileNotFoundError:
            return []
        return [event for event in map(json.loads, lines) if event["event"] == kind]

    def begin(self, *arguments):
        child = harness.spawn([CHAOS, "--duration=60s", "--load=light", f"--report={self.folder.name}", *arguments],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env=harness.clean_environment(SANDSTORE_BINARY_DIR=harness.BINARY_DIR))
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        return child

    def await_fault(self, child):
        def begun():
            self.assertIsNone(child.poll(), "it ended by itself")
            return self.events("fault")
        return wait_until("a fault has begun", begun, harness.PATIENCE_S + 30)[0]

    def nodes(self):
        """Process ids from the logs' own folder: node processes of this run that are there."""
        found = []
        for entry in os.listdir("/proc"):
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    environment = file.read()
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    command = file.read()
            except (OSError, ValueError):
                continue
            if b"CHAOS_TEST=" + self.folder.name.encode() in environment and b"\0node\0" in command:
                found.append(int(entry))
        return found

    def interrupted(self, number, kind, *arguments):
        """Interrupts a run in the middle of a fault; gives what it said."""
        os.environ["CHAOS_TEST"] = self.folder.name  # Inherited by all that it starts.
        self.addCleanup(os.environ.pop, "CHAOS_TEST", None)
        child = self.begin(f"--faults={kind}", *arguments)
        self.assertEqual(self.await_fault(child)["kind"], kind)
        self.assertEqual(len(self.nodes()), 3 - (kind == "kill"))
        child.send_signal(number)
        said = child.communicate(timeout=harness.PATIENCE_S * 2)[0]
        self.assertEqual(child.returncode, 130, said)
        self.assertIn("interrupted; everything is healed", said)
        self.assertEqual([event["left"] for event in self.events("healed")], [[]], said)
        self.assertEqual(self.nodes(), [], "nothing runs on")

    def test_sigint_in_the_middle_of_a_pause_leaves_nothing_stopped(self):
        self.interrupted(signal.SIGINT, "pause", "--seed=5")

    def test_sigterm_in_the_middle_of_a_partition_leaves_nothing_cut(self):
        self.interrupted(signal.SIGTERM, "partition", "--seed=5")

    def test_an_error_in_the_middle_of_a_fault_heals_too_and_is_told(self):
        os.environ["CHAOS_TEST"] = self.folder.name
        self.addCleanup(os.environ.pop, "CHAOS_TEST", None)
        child = self.begin("--faults=slow-disk", "--seed=5")
        self.await_fault(child)
        with open(f"/proc/{child.pid}/task/{child.pid}/children") as file:
            for process in file.read().split():
                with open(f"/proc/{process}/cmdline", "rb") as command:
                    if b"chaos_load" in command.read():
                        os.kill(int(process), signal.SIGKILL)
        said = child.communicate(timeout=harness.PATIENCE_S * 2)[0]
        self.assertEqual(child.returncode, 1, said)
        self.assertIn("the load ended by itself", said)
        self.assertEqual([event["left"] for event in self.events("healed")], [[]], said)
        self.assertEqual(self.nodes(), [])

    def test_a_short_run_holds(self):
        done = chaos(*SHORT_RUN, f"--report={self.folder.name}")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("EVERYTHING HELD", done.stdout)
        with open(self.path("report.json")) as file:
            facts = json.load(file)
        self.assertTrue(facts["held"])
        self.assertEqual((facts["lost_writes"], facts["double_applications"]), (0, 0))
        # It was tried, and not only left alone.
        self.assertEqual({event["kind"] for event in self.events("fault")},
                         {"kill", "partition", "pause", "slow-disk", "clock"})
        self.assertGreaterEqual(facts["leaders"], 2)
        self.assertGreater(facts["verdict"]["journal_acknowledged"], 100)
        self.assertGreater(facts["verdict"]["directories"], 3)
        self.assertEqual(len(self.events("converged")), 1)
        with open(self.path("report.svg")) as file:
            drawing = file.read()
        self.assertEqual(len(re.findall(r"<title>#\d+ ", drawing)), len(self.events("fault")))
        self.assertIn("Became Leader", done.stdout)


if __name__ == "__main__":
    harness.main()
