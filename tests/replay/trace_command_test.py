#!/usr/bin/env python3
"""sandstore trace on the golden traces: what each command says, and its exit status."""
import os
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TRACES = os.path.join(SOURCE, "tests/replay/traces")
BINARY = os.path.join(os.environ.get("SANDSTORE_BINARY_DIR", os.path.join(SOURCE, "build/release")), "sandstore")


def golden(name):
    return os.path.join(TRACES, name + ".trace")


def trace(*arguments):
    done = subprocess.run([BINARY, "trace", *arguments], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


class TraceCommandTest(unittest.TestCase):
    def test_print_shows_each_delivery_with_its_effects(self):
        status, out, _ = trace("print", golden("election"))
        self.assertEqual(status, 0)
        self.assertIn("raft <- ", out)
        self.assertIn("-> log log_write", out)

    def test_print_shows_only_what_is_selected(self):
        _, out, _ = trace("print", golden("failover"), "--actor=RaftNode", "--type=request_vote")
        deliveries = [line for line in out.splitlines()[1:] if line[0].isdigit()]
        self.assertTrue(deliveries)
        for line in deliveries:
            self.assertRegex(line, r"^\d+ +\+[\d.]+s raft <- ")
        _, out, _ = trace("print", golden("failover"), "--from=10", "--to=12")
        numbers = [line.split()[0] for line in out.splitlines()[1:] if line[0].isdigit()]
        self.assertEqual(numbers, ["10", "11", "12"])
        _, out, _ = trace("print", golden("failover"), "--grep=pre_vote: true")
        self.assertIn("pre_vote: true", out)
        _, by_time, _ = trace("print", golden("failover"), "--from=200ms", "--to=400ms")
        times = [float(line.split()[1][1:-1]) for line in by_time.splitlines()[1:] if line[0].isdigit()]
        self.assertTrue(times)
        self.assertTrue(all(0.2 <= time <= 0.4 for time in times))

    def test_stat_counts_by_actor_and_message(self):
        status, out, _ = trace("stat", golden("writes"))
        self.assertEqual(status, 0)
        self.assertRegex(out, r"raft +append_entries +\d+")
        self.assertRegex(out, r"(?m)^all +\d+")

    def test_diff_of_a_trace_with_itself_is_empty(self):
        status, out, _ = trace("diff", golden("writes"), golden("writes"))
        self.assertEqual((status, out.split(":")[0]), (0, "SAME"))

    def test_diff_shows_the_first_difference_and_what_led_to_it(self):
        status, out, _ = trace("diff", golden("election"), golden("failover"), "--actor=raft")
        self.assertEqual(status, 1)
        self.assertTrue(out.startswith("first difference: delivery "))
        self.assertIn("  left:  ", out)
        self.assertIn("  right: ", out)
        self.assertIn("led to by", out)
        self.assertIn("DIFFERENT: ", out)

    def test_replay_needs_an_actor_that_exists(self):
        self.assertEqual(trace("replay", golden("writes"))[0], 2)
        status, _, error = trace("replay", golden("writes"), "--actor=Nobody")
        self.assertEqual(status, 2)
        self.assertIn("RaftNode", error)

    def test_replay_says_when_it_depends_on_file_data_that_was_left_out(self):
        status, out, _ = trace("replay", golden("writes"), "--actor=ChunkService")
        self.assertEqual(status, 1)
        self.assertIn("--trace-content", out)

    def test_sequence_draws_and_says_where_it_cut(self):
        status, out, _ = trace("sequence", golden("failover"), "--actor=raft", "--limit=5")
        self.assertEqual(status, 0)
        self.assertTrue(out.startswith("sequenceDiagram\n"))
        self.assertEqual(sum("->>" in line for line in out.splitlines()), 5)
        self.assertIn("cut: 5 of ", out)
        _, out, _ = trace("sequence", golden("failover"), golden("writes"), "--by=node", "--limit=1000")
        self.assertIn("participant p0 as node-", out)
        self.assertNotIn("cut:", out)

    def test_a_cut_off_file_is_read_up_to_there(self):
        with tempfile.NamedTemporaryFile() as cut, open(golden("election"), "rb") as whole:
            cut.write(whole.read()[:-7])
            cut.flush()
            for command in ("print", "stat", "sequence"):
                status, out, error = trace(command, cut.name)
                self.assertEqual(status, 0, error)
                self.assertTrue(out)
                self.assertIn("cut off at offset", error)

    def test_a_damaged_file_is_an_error(self):
        with tempfile.NamedTemporaryFile() as damaged, open(golden("election"), "rb") as whole:
            data = bytearray(whole.read())
            data[-20] ^= 1
            damaged.write(data)
            damaged.flush()
            status, _, error = trace("stat", damaged.name)
            self.assertEqual(status, 1)
            self.assertIn("damaged at offset", error)

    def test_mistakes_have_clear_errors(self):
        mistakes = ((["prnt"], 2, "did you mean print?"), ([], 2, "Usage:"), (["print"], 2, "FILE"),
                    (["print", "/nonexistent"], 1, "/nonexistent"),
                    (["print", golden("writes"), "--grep=("], 2, "--grep"),
                    (["print", golden("writes"), "--from=soon"], 2, "expected a number"),
                    (["replay", golden("writes"), "--actor=RaftNode", "--mode=fast"], 2, "strict"))
        for arguments, status, words in mistakes:
            got, _, error = trace(*arguments)
            self.assertEqual(got, status, arguments)
            self.assertIn(words, error)
        for command in ("print", "stat", "diff", "replay", "sequence"):
            status, out, _ = trace(command, "--help")
            self.assertEqual(status, 0)
            self.assertIn("Usage: sandstore trace " + command, out)


if __name__ == "__main__":
    sys.exit(unittest.main())
