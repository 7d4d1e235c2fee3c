"""The event lines of docs/operations.md, as a real cluster logs them: every line of the table in which a node says
something is laid out as the table says, in text and in JSON. And log files: rotated by the node and by others."""
import glob
import json
import os
import re
import signal

import harness
from harness import SOURCE_DIR, ClusterTest, wait_until

VALUE = r'(?:[^\s"=]+|"(?:[^"\\]|\\.)*")'
# Needs a disk that fills up, a log that was compacted, or a node that notices what it lacks before its leader does:
# unit tests and scaling_test.py have them.
NOT_HERE = {"Disk full", "Disk has room again", "Snapshot installed", "Repair begun", "Repair finished"}


class Event:
    def __init__(self, text, actor, level, values):
        self.text, self.actor, self.level, self.values = text, actor, level, values

    def matches(self, line):
        values = "".join(rf" {name}={VALUE}" for name in self.values)
        return re.search(rf"^\S+ {self.level} \S+ {self.actor} {self.text}{values}( \w+={VALUE})*$", line)

    def matches_json(self, line):
        return (line["level"] == self.level and line["actor"] == self.actor
                and list(line)[5:5 + len(self.values)] == self.values)


def documented_events():
    with open(f"{SOURCE_DIR}/docs/operations.md") as page:
        rows = re.findall(r"^\| `([A-Z][\w ]+)` \| `(\w+)` \| (\w+) \| (?:`([\w ]+)`)? *\|", page.read(), re.MULTILINE)
    return {text: Event(text, actor, level, values.split()) for text, actor, level, values in rows}


class EventLines(ClusterTest):
    def happenings(self, cluster):
        """One of everything that an operator sees."""
        cluster.await_leader()
        cluster.put("/first", b"something to take a snapshot of")
        cluster.await_caught_up()
        self.assertEqual(cluster.sandstore("cluster", "snapshot", "node-1").returncode, 0)
        follower = next(node for node in cluster.nodes if node is not cluster.await_leader())
        self.assertEqual(follower.terminate()[0], 0)
        cluster.put("/file", b"written while one copy is missing" * 3000)
        follower.start()
        cluster.await_caught_up()
        new = cluster.join("node-4")
        new.start()
        added = cluster.sandstore("cluster", "add", "node-4", new.address, "--learner")
        self.assertEqual(added.returncode, 0, added.stderr.decode())
        leader = cluster.await_leader()
        self.assertEqual(leader.terminate()[0], 0)
        cluster.await_leader(besides=leader.node_id)
        leader.start()
        wait_until("every first node has both chunks, also the one that a node missed",
                   lambda: all(self.chunks_of(node) == 2 for node in cluster.nodes if node is not new), 60)

    def chunks_of(self, node):
        code, body = node.get("/metrics")
        self.assertEqual(code, 200)
        return sum(map(int, re.findall(r"^sandstore_store_objects (\d+)$", body.decode(), re.MULTILINE)))

    def lines_of(self, cluster):
        return [line for node in cluster.nodes for line in node.log().splitlines()]

    def test_a_cluster_logs_them_as_they_are_documented(self):
        events = documented_events()
        self.assertGreater(len(events), 10, "the table in docs/operations.md was not found")
        cluster = self.cluster().start()
        self.happenings(cluster)
        seen = set()
        for line in self.lines_of(cluster):
            for text, event in events.items():
                if re.match(rf"\S+ \w+ \S+ \S+ {text}( |$)", line):
                    self.assertTrue(event.matches(line), line)
                    seen.add(text)
        self.assertEqual(seen | NOT_HERE, set(events))

    def test_as_json_too(self):
        events = documented_events()
        cluster = self.cluster(**{"log-format": "json"}).start()
        self.happenings(cluster)
        seen = set()
        for text in self.lines_of(cluster):
            line = json.loads(text)
            if line["message"] in events:
                self.assertTrue(events[line["message"]].matches_json(line), text)
                seen.add(line["message"])
        self.assertEqual(seen | NOT_HERE, set(events))


class LogFiles(ClusterTest):
    def test_rotated_files_hold_every_line_of_stdout(self):
        cluster = self.cluster(size=1, **{"log-file-size": "512", "log-files": "1000", "log-level": "debug"})
        node = cluster.nodes[0]
        node.flags["log-dir"] = f"{cluster.folder}/logs"
        cluster.start()
        cluster.await_leader()
        logs = f"{cluster.folder}/logs"
        wait_until("the log has been rotated", lambda: os.path.exists(f"{logs}/node-1.log.2"))
        self.assertEqual(node.terminate()[0], 0)
        numbers = sorted((int(name.rsplit(".", 1)[1]) for name in glob.glob(f"{logs}/node-1.log.*")), reverse=True)
        written = ""
        for name in [*(f"{logs}/node-1.log.{number}" for number in numbers), f"{logs}/node-1.log"]:
            self.assertLessEqual(os.path.getsize(name), 512)
            with open(name) as file:
                written += file.read()
        self.assertEqual(written, node.log())

    def test_after_sighup_it_writes_to_a_new_file(self):
        cluster = self.cluster(size=1)
        node = cluster.nodes[0]
        node.flags["log-dir"] = f"{cluster.folder}/logs"
        cluster.start()
        cluster.await_leader()
        path = f"{cluster.folder}/logs/node-1.log"
        os.rename(path, f"{path}-moved")
        node.child.send_signal(signal.SIGHUP)
        wait_until("there is a new file", lambda: os.path.exists(path))
        self.assertEqual(node.terminate()[0], 0)
        with open(path) as new, open(f"{path}-moved") as moved:
            new, moved = new.read(), moved.read()
        self.assertIn(" Stopped", new)
        self.assertIn(" Became Leader ", moved)
        self.assertEqual(moved + new, node.log())

    def test_a_directory_for_logs_that_cannot_be_used_keeps_no_node_from_serving(self):
        cluster = self.cluster(size=1)
        node = cluster.nodes[0]
        in_the_way = f"{cluster.folder}/logs"
        node.flags["log-dir"] = in_the_way
        with open(in_the_way, "w"):
            pass
        cluster.start()
        cluster.await_leader()
        cluster.put("/file", b"served")
        self.assertEqual(node.log().count("Log file cannot be opened"), 1, node.log())
        os.remove(in_the_way)
        node.child.send_signal(signal.SIGHUP)
        wait_until("the file is there", lambda: os.path.exists(f"{in_the_way}/node-1.log"))
        self.assertEqual(node.terminate()[0], 0)
        with open(f"{in_the_way}/node-1.log") as file:
            text = file.read()
        for line in (" Starting ", " Became Leader ", " Log file written again ", " Stopped"):
            self.assertIn(line, text)


if __name__ == "__main__":
    harness.main()
