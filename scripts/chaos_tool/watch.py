"""Who leads, from the one line of a node's log that is an interface (docs/operations.md): Became Leader."""
import os
import re
import threading
import time

LOOK_EVERY_S = 0.02
BECAME_LEADER = re.compile(r" (\S+) raft Became Leader term=(\d+)")


class Tail:
    """The new lines of a file that grows, and may be replaced by a new one."""

    def __init__(self, path):
        self.path, self.file, self.partial = path, None, ""

    def lines(self):
        try:
            if self.file is None:
                self.file = open(self.path, errors="replace")
            text = self.partial + self.file.read()
            if os.stat(self.path).st_ino != os.fstat(self.file.fileno()).st_ino:
                text += self.file.read()
                self.file.close()
                self.file = None
        except OSError:
            return []
        *lines, self.partial = text.split("\n")
        return lines


class LeaderWatch:
    """Times are of the monotonic clock, as in the history; a line is seen some milliseconds after it was written."""

    def __init__(self, log_paths, on_leader):
        self.leaders = []  # (time_s, node, term)
        self._tails = [Tail(path) for path in log_paths.values()]
        self._on_leader = on_leader
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leaders", daemon=True)
        self._thread.start()

    def leader(self):
        """Of the highest term seen so far: (node, term), or (None, 0)."""
        if not self.leaders:
            return None, 0
        _, node, term = max(self.leaders, key=lambda entry: entry[2])
        return node, term

    def close(self):
        self._stop.set()
        self._thread.join()

    def _run(self):
        while True:
            last_look = self._stop.wait(LOOK_EVERY_S)
            for tail in self._tails:
                for line in tail.lines():
                    if match := BECAME_LEADER.search(line):
                        entry = (time.monotonic(), match[1], int(match[2]))
                        self.leaders.append(entry)
                        self._on_leader(*entry)
            if last_look:
                return
