"""A write load on a cluster that remembers what it was told: the program cluster_load (load.cc has the operations) and
the comparison of what it was told with what the store holds."""
import subprocess

from harness import LOAD, PATIENCE_S, Process, clean_environment, run, spawn, wait_until


class Load(Process):
    MODE = "write"

    def __init__(self, cluster, writers=8, directory="/load"):
        self.cluster, self.directory, self.writers = cluster, directory, writers
        self.env_of_cluster = clean_environment(SANDSTORE_SERVERS=cluster.servers())
        self.events_path = f"{cluster.folder}/{self.MODE}.events"
        self.offset, self.partial, self.events = 0, "", []
        super().__init__(self.MODE, [LOAD, self.MODE, directory, str(writers)], f"{cluster.folder}/{self.MODE}.log",
                         env=self.env_of_cluster)

    def start(self):
        with open(self.events_path, "wb") as events, open(self.log_path, "ab") as log:
            self.child = spawn(self.command, stdout=events, stderr=log, stdin=subprocess.PIPE, env=self.env)
        return self

    def read(self):
        """The events so far, each (outcome, operation, writer, number, detail)."""
        with open(self.events_path) as file:
            file.seek(self.offset)
            text = self.partial + file.read()
            self.offset = file.tell()
        lines = text.split("\n")
        self.partial = lines.pop()
        for line in lines:
            outcome, operation, writer, number, *detail = line.split(" ", 4)
            self.events.append((outcome, operation, int(writer), int(number), " ".join(detail)))
        return self.events

    def acknowledged(self):
        return sum(1 for event in self.read() if event[0] == "ok")

    def await_acknowledged(self, count):
        def enough():
            assert self.running(), f"the load ended by itself:\n{self.log()}"
            return self.acknowledged() >= count
        wait_until(f"{count} acknowledged operations", enough)

    def finish(self):
        """Lets every writer end the operation it is at."""
        self.child.stdin.close()
        status = self.child.wait(PATIENCE_S * 2)
        assert status == 0, f"the load ended with {status}:\n{self.log()}"
        self.read()

    def failures(self):
        """The operations that a client saw fail, whatever became of them."""
        return [event for event in self.read() if event[0] != "ok"]

    def content(self):
        """What the store holds: file -> text."""
        done = run([LOAD, "read", self.directory], env=self.env_of_cluster, timeout=PATIENCE_S * 4)
        assert done.returncode == 0, done.stderr.decode()
        files = {}
        for line in done.stdout.decode().splitlines():
            path, _, text = line.partition(" ")
            files[path] = text
        return files

    def problems(self):
        """Every difference between what was acknowledged and what is there, as sentences."""
        files = self.content()
        found = []
        journal = {writer: files.pop(f"{writer}/journal", "").split(",") for writer in range(self.writers)}
        known = {name: set() for name in ("mkdir", "journal", "create", "append", "rename")}
        maybe = {name: set() for name in known}
        for outcome, operation, writer, number, detail in self.read():
            if outcome == "ok":
                known[operation].add((writer, number))
            elif outcome == "unknown":
                maybe[operation].add((writer, number))
            else:
                found.append(f"{operation} {writer}/{number}: {outcome} {detail}")

        for writer, number in known["append"]:
            times = journal[writer].count(str(number))
            if times != 1:
                found.append(f"append {writer}/{number}: acknowledged, and there {times} times")
        for writer, lines in journal.items():
            for line in lines:
                if not line:
                    continue
                if lines.count(line) > 1:
                    found.append(f"append {writer}/{line}: there {lines.count(line)} times")
                if (writer, int(line)) not in known["append"] | maybe["append"]:
                    found.append(f"append {writer}/{line}: there, and nobody asked for it")

        for writer, number in known["create"]:
            before, after = files.get(f"{writer}/{number}"), files.get(f"{writer}/{number}.done")
            want = f"{writer}:{number}"
            if (writer, number) in known["rename"] and (before is not None or after != want):
                found.append(f"rename {writer}/{number}: acknowledged, holds {before!r} before, {after!r} after")
            elif (writer, number) in maybe["rename"] and [before, after].count(want) != 1:
                found.append(f"rename {writer}/{number}: unknown, holds {before!r} before, {after!r} after")
            elif (writer, number) not in known["rename"] | maybe["rename"] and before != want:
                found.append(f"create {writer}/{number}: acknowledged, holds {before!r}")
        return found


class Streams(Load):
    """Files of several chunks, written, read, listed and removed."""
    MODE = "stream"

    def __init__(self, cluster, writers=2, directory="/streams"):
        super().__init__(cluster, writers, directory)

    def problems(self):
        """It compares itself."""
        return [f"{operation} {writer}/{number}: {outcome} {detail}"
                for outcome, operation, writer, number, detail in self.failures()]
