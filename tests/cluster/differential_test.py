"""`sandstore fs` beside coreutils: the same generated arguments for mv, rm, mkdir, cat, ls and (put and get) cp, on
the cluster's tree and on a directory. Both succeed or both fail, what they print of contents is equal, and so is
the tree that is left, after failures too. SANDSTORE_TEST_SEED and SANDSTORE_TEST_ROUNDS choose which and how many;
a failure prints all that led to it."""
import os
import random
import shutil
import tempfile

import harness
from harness import ClusterTest, run

SEED = int(os.environ.get("SANDSTORE_TEST_SEED", "1"))
ROUNDS = int(os.environ.get("SANDSTORE_TEST_ROUNDS", "20"))
COMMANDS_A_ROUND = 6

DIRECTORIES = ["d", "d/sub", "e"]
FILES = ["f", "g", "d/f", "d/x", "e/f", "e/g", "d/sub/f"]


class Commands:
    """Draws command lines over one small tree: names that exist and that do not, in all the ways to write them."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def place(self):
        name = self.random.choice([*DIRECTORIES, *FILES, "new", "d/new", "missing/new", "f/below", "."])
        return self.dressed(name)

    def dressed(self, name):
        draw = self.random.random()
        if draw < 0.7:
            return name
        return self.random.choice([f"./{name}", f"{name}/", name.replace("/", "//"), f"{name}/.", f"././{name}"])

    def places(self, most=3):
        return [self.place() for _ in range(self.random.randint(1, most))]

    def sources(self):
        return [self.random.choice(["one/s", "two/s", "one/t", "one", "absent", "./one/s"])
                for _ in range(self.random.randint(1, 3))]

    def next(self):
        kind = self.random.choice(["mv", "mv", "mv", "rm", "rm", "mkdir", "cat", "ls", "put", "put", "get", "get"])
        if kind == "mv":
            flags = ["-n"] if self.random.random() < 0.2 else []
            return kind, flags, [*self.places(), self.place()]
        if kind == "rm":
            return kind, self.random.choice([[], ["-r"], ["-f"], ["-rf"]]), self.places()
        if kind == "mkdir":
            return kind, self.random.choice([[], ["-p"]]), self.places()
        if kind == "put":
            return kind, [], [*self.sources(), self.place()]
        if kind == "get":
            return kind, [], [*self.places(), self.random.choice(["out", "out/new", "out/.", "out/kept", "out/link"])]
        return kind, [], self.places() if kind == "cat" else [self.place()]


class Local:
    """The same with coreutils, in a directory."""

    def __init__(self, folder, sources):
        self.tree, self.sources = f"{folder}/tree", sources
        self.out = f"{folder}/local"

    def run(self, kind, flags, words):
        if kind == "put":
            words = [*(f"{self.sources}/{word}" for word in words[:-1]), words[-1]]
            return self.command("cp", *words)
        if kind == "get":
            return self.command("cp", "--preserve=mode", *words[:-1], self.out + words[-1].removeprefix("out"))
        if kind == "ls":
            return self.command("ls", "-1", *words)
        return self.command(kind, *flags, "--", *words)

    def command(self, *words):
        return run(list(words), cwd=self.tree, env={**os.environ, "LC_ALL": "C"})


class Remote:
    """The same with sandstore, from the root of the cluster."""

    def __init__(self, cluster, folder, sources):
        self.cluster, self.sources, self.out = cluster, sources, f"{folder}/remote"

    def run(self, kind, flags, words):
        if kind == "put":
            words = [*(f"{self.sources}/{word}" for word in words[:-1]), words[-1]]
        if kind == "get":
            words = [*words[:-1], self.out + words[-1].removeprefix("out")]
        return self.cluster.sandstore("fs", kind, *flags, "--", *words)

    def contents(self, path="/"):
        """All that is below, as tree_of() has it of a directory."""
        found = {}
        for line in self.cluster.fs("ls", "-la", path).decode().splitlines():
            mode, name = line.split(maxsplit=1)[0], line.split()[-1]
            place = f"{path.rstrip('/')}/{name}"
            if mode.startswith("d"):
                found[place[1:]] = None
                found.update(self.contents(place))
            else:
                found[place[1:]] = self.cluster.cat(place)
        return found


def tree_of(folder):
    found = {}
    for at, directories, files in os.walk(folder):
        for name in directories:
            found[os.path.relpath(f"{at}/{name}", folder)] = None
        for name in files:
            with open(f"{at}/{name}", "rb") as file:
                found[os.path.relpath(f"{at}/{name}", folder)] = file.read()
    return found


class Differential(ClusterTest):
    def setUp(self):
        self.nodes = self.cluster().start()
        self.nodes.await_leader()
        self.folder = tempfile.mkdtemp(prefix="sandstore-differential-")
        self.addCleanup(shutil.rmtree, self.folder)
        sources = f"{self.folder}/sources"
        for name in ("one/s", "two/s", "one/t"):
            os.makedirs(os.path.dirname(f"{sources}/{name}"), exist_ok=True)
            with open(f"{sources}/{name}", "w", encoding="utf-8") as file:
                file.write(f"source {name}")
        self.local = Local(self.folder, sources)
        self.remote = Remote(self.nodes, self.folder, sources)

    def begin_round(self):
        shutil.rmtree(self.local.tree, ignore_errors=True)
        names = self.nodes.fs("ls", "-a", "/").decode().splitlines()
        self.nodes.fs("rm", "-rf", "--", *names)
        for name in DIRECTORIES:
            os.makedirs(f"{self.local.tree}/{name}")
        self.nodes.fs("mkdir", *DIRECTORIES)
        for name in FILES:
            with open(f"{self.local.tree}/{name}", "w", encoding="utf-8") as file:
                file.write(f"content of {name}")
            self.nodes.fs("put", f"{self.local.tree}/{name}", name)
        for out in (self.local.out, self.remote.out):
            shutil.rmtree(out, ignore_errors=True)
            os.makedirs(out)
            with open(f"{out}/kept", "w", encoding="utf-8") as file:
                file.write("kept")
            os.symlink("kept", f"{out}/link")

    def test_generated_arguments(self):
        for seed in range(SEED, SEED + ROUNDS):
            commands = Commands(seed)
            self.begin_round()
            history = [f"seed {seed}"]
            for _ in range(COMMANDS_A_ROUND):
                kind, flags, words = commands.next()
                history.append(" ".join([kind, *flags, *(repr(word) for word in words)]))
                self.compare(kind, flags, words, history)

    def compare(self, kind, flags, words, history):
        ours, theirs = self.remote.run(kind, flags, words), self.local.run(kind, flags, words)
        told = "\n".join([*history, f"sandstore: status {ours.returncode}: {ours.stderr.decode()}",
                          f"coreutils: status {theirs.returncode}: {theirs.stderr.decode()}"])
        self.assertEqual(ours.returncode == 0, theirs.returncode == 0, told)
        if kind == "cat" or (kind == "ls" and ours.returncode == 0):
            self.assertEqual(self.lines(kind, ours), self.lines(kind, theirs), told)
        self.assertEqual(self.remote.contents(), tree_of(self.local.tree), told)
        self.assertEqual(tree_of(self.remote.out), tree_of(self.local.out), told)

    @staticmethod
    def lines(kind, done):
        """A file that is listed by itself is shown as it was named, but a slash more or less is nobody's harm."""
        return done.stdout if kind == "cat" else [os.path.normpath(line) for line in done.stdout.decode().splitlines()]


if __name__ == "__main__":
    harness.main()
