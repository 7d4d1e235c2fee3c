"""Backups of clusters that are being written to, and what is restored from them."""
import glob
import hashlib
import io
import json
import os
import random
import shutil
import signal
import tarfile
import tempfile
import threading
import urllib.request

import harness
from harness import SANDSTORE, ClusterTest, clean_environment, run, spawn, wait_until


class Writer(threading.Thread):
    """One client that does one thing after the other, so that every moment of the namespace obeys check()."""

    LOGS = 4

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.cluster, self.stop, self.steps, self.error = cluster, threading.Event(), 0, None

    @staticmethod
    def content(step):
        return b"%08d" % step * 2000

    def begin(self):
        self.cluster.fs("mkdir", "/ring", "/counters", "/logs")
        self.cluster.put("/ring/token-0", b"0")
        self.cluster.put("/counters/x", self.content(0))
        self.cluster.put("/counters/y", self.content(0))
        self.cluster.put("/logs/0", self.content(0))
        self.start()
        return self

    def run(self):
        try:
            while not self.stop.is_set():
                step = self.steps + 1
                self.cluster.put("/counters/x", self.content(step))
                self.cluster.put("/counters/y", self.content(step))
                self.cluster.put(f"/logs/{step}", self.content(step))
                self.cluster.fs("mv", f"/ring/token-{self.steps}", f"/ring/token-{step}")
                if step > self.LOGS:
                    self.cluster.fs("rm", f"/logs/{step - self.LOGS}")
                self.steps = step
        except AssertionError as error:
            self.error = error

    def end(self):
        self.stop.set()
        self.join()
        if self.error:
            raise self.error

    @classmethod
    def check(cls, files):
        """files: path -> content of all files. Gives the step at which the snapshot was taken."""
        counters = {}
        for name in "x", "y":
            content = files[f"counters/{name}"]
            counters[name] = int(content[:8])
            assert content == cls.content(counters[name]), f"{name} is torn: {content[:40]!r}"
        tokens = [path for path in files if path.startswith("ring/")]
        assert len(tokens) == 1, tokens
        token = int(tokens[0].rsplit("-", 1)[1])
        assert token <= counters["y"] <= counters["x"] <= token + 1, (token, counters)
        logs = sorted(int(path.split("/")[1]) for path in files if path.startswith("logs/"))
        # What the step before left, less one when that is removed, and one more when the next is written.
        allowed = [[0, *range(max(1, token - cls.LOGS + removed), token + 1 + written)]
                   for removed, written in ((0, 0), (1, 0), (1, 1))]
        assert logs in allowed, (token, logs)
        for step in logs:
            content = files[f"logs/{step}"]
            # A new file is made, then filled: two steps of the one that writes it.
            being_made = step == token + 1 and content == b""
            assert being_made or content == cls.content(step), f"token {token}: log {step} has {content[:40]!r}"
        return token


def files_below(folder):
    found = {}
    for directory, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(directory, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = file.read()
    return found


class Backup(ClusterTest):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="sandstore-backup-test-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.directory = f"{self.folder}/backups"

    def backup(self, cluster, *arguments, status=0, **options):
        done = cluster.sandstore("backup", *arguments, **options)
        self.assertEqual(done.returncode, status, f"backup {arguments}: {done.stdout[-2000:]!r} {done.stderr.decode()}")
        return done

    def create(self, cluster):
        return json.loads(self.backup(cluster, "create", "--json", self.directory).stdout)

    def tree(self, cluster, path="/"):
        """All that ls shows of every entry, and every file's content."""
        listing = cluster.fs("ls", "-laR", path)
        found = {}
        for block in listing.split(b"\n\n"):
            lines = block.strip(b"\n").split(b"\n")
            where = lines[0].rstrip(b":")
            for line in lines[1:]:
                mode, links, uid, gid, size, day, hour, name = line.split(None, 7)
                whole = where.rstrip(b"/") + b"/" + name
                # A sparse file of gigabytes is compared by its status alone.
                readable = not mode.startswith(b"d") and int(size) < 100 << 20
                content = cluster.fs("cat", os.fsdecode(whole)) if readable else b""
                found[whole[len(path.rstrip("/")):]] = (mode, links, uid, gid, size, day, hour,
                                                        hashlib.sha256(content).hexdigest())
        return found

    def fill(self, cluster, seed=1, big=10 << 20):
        source = random.Random(seed)
        cluster.fs("mkdir", "-p", "/a/b/c", "/empty directory", "/odd \xe4\udcff")
        cluster.put("/a/big", source.randbytes(big))
        cluster.put("/a/b/small", b"small")
        cluster.put("/a/b/empty", b"")
        cluster.put("/a/holes", b"begin")
        cluster.fs("truncate", "--size=3000000000", "/a/holes")
        cluster.put("/odd \xe4\udcff/* name with blanks ", source.randbytes(100_000))

    def slow_disks(self, cluster, delay_ms):
        """Each request to a disk takes longer, so that there is time to interrupt what reads from it."""
        for node in cluster.nodes:
            body = json.dumps({"disk_delay_ms": delay_ms}).encode()
            urllib.request.urlopen(f"http://127.0.0.1:{node.http_port}/debug/faults", body, timeout=10).close()

    def chunk_files(self):
        return sorted(glob.glob(f"{self.directory}/chunks/*/*.chunk"))

    def test_a_restored_cluster_is_the_one_that_was_backed_up(self):
        cluster, fresh = self.cluster().start(), self.cluster().start()
        cluster.await_leader()
        fresh.await_leader()
        self.fill(cluster)
        self.create(cluster)
        self.assertIn("is not empty", self.backup(cluster, "restore", self.directory, status=1).stderr.decode())
        self.backup(fresh, "restore", self.directory)
        self.assertRegex(cluster.fs("stat", "/a/holes"), rb"Stored: 5\b")
        self.assertRegex(fresh.fs("stat", "/a/holes"), rb"Stored: 5\b")
        self.assertEqual(self.tree(cluster), self.tree(fresh))

        # As a stream, too, which tar can read; and beside what is there.
        stream = self.backup(cluster, "create", "-").stdout
        with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
            self.assertIn("a/big", tar.getnames())
            self.assertEqual(tar.extractfile("a/b/small").read(), b"small")
        self.backup(fresh, "restore", "-", "--into=/again/here", input=stream)
        self.assertEqual(self.tree(cluster), self.tree(fresh, "/again/here"))
        damaged = bytearray(stream)
        damaged[len(stream) // 2] ^= 1
        for bad in bytes(damaged), stream[:len(stream) // 2]:
            refused = self.backup(fresh, "restore", "-", "--into=/bad", input=bad, status=1).stderr.decode()
            self.assertIn("the stream is damaged", refused)
        self.assertNotIn(b"bad", fresh.fs("ls", "-a", "/"))

    def test_a_backup_of_a_cluster_that_is_written_to_is_one_moment(self):
        cluster, fresh = self.cluster().start(), self.cluster().start()
        cluster.await_leader()
        cluster.put("/ballast", random.Random(7).randbytes(9 << 20))
        writer = Writer(cluster).begin()
        moments = []
        for i in range(3):
            seen = writer.steps
            wait_until("the writer goes on", lambda: writer.steps > seen + 1 or writer.error)
            made = self.create(cluster)
            self.assertEqual(made["new_chunks"] == made["chunks"], i == 0, made)
            stream = self.backup(cluster, "create", "-").stdout
            unpacked = f"{self.folder}/stream-{i}"
            with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
                tar.extractall(unpacked)
            Writer.check(files_below(unpacked))
            moments.append(made["backup"])
        writer.end()
        self.backup(cluster, "verify", self.directory)
        fresh.await_leader()
        steps = []
        for i, moment in enumerate(moments):
            self.backup(fresh, "restore", self.directory, f"--backup={moment}", f"--into=/{i}")
            files = {}
            for name in self.tree(fresh, f"/{i}"):
                path = os.fsdecode(name).lstrip("/")
                if path.startswith(("ring/", "counters/", "logs/")):
                    files[path] = fresh.cat(f"/{i}/{path}")
            steps.append(Writer.check(files))
        self.assertEqual(steps, sorted(set(steps)), "each backup is a later moment")

    def test_a_later_backup_copies_only_what_is_new_and_pruning_keeps_what_is_needed(self):
        cluster = self.cluster(size=1).start()
        cluster.await_leader()
        self.fill(cluster)
        first = self.create(cluster)
        self.assertEqual(first["new_chunks"], first["chunks"])
        self.assertEqual(self.create(cluster)["new_chunks"], 0)
        cluster.put("/a/b/small", b"another content")
        third = self.create(cluster)
        self.assertEqual((third["new_chunks"], third["new_chunk_bytes"]), (1, 15))
        listed = json.loads(self.backup(cluster, "list", "--json", self.directory).stdout)
        self.assertEqual([line["id"] for line in listed][::2], [first["backup"], third["backup"]])
        files = len(self.chunk_files())
        self.backup(cluster, "prune", self.directory, "--keep=1")
        self.assertEqual(len(self.chunk_files()), files - 1)
        self.assertEqual(self.backup(cluster, "verify", self.directory).stdout.decode(), f"{third['backup']}: good\n")
        other = self.cluster(size=2).start()
        other.await_leader()
        other.fs("mkdir", "/mine")
        refused = self.backup(other, "create", self.directory, status=1).stderr.decode()
        self.assertIn("holds backups of cluster", refused)

    def test_damage_is_found_and_named(self):
        cluster = self.cluster(size=1).start()
        cluster.await_leader()
        self.fill(cluster, big=1 << 20)
        made = self.create(cluster)
        manifest = f"{self.directory}/backups/{made['backup']}.manifest"
        chunks = self.chunk_files()

        def flip(path, at):
            with open(path, "r+b") as file:
                file.seek(at)
                byte = file.read(1)
                file.seek(at)
                file.write(bytes([byte[0] ^ 1]))

        biggest = max(chunks, key=os.path.getsize)
        flip(biggest, 5000)
        said = self.backup(cluster, "verify", self.directory, status=1).stdout.decode()
        self.assertIn(biggest, said)
        self.assertIn("do not match their checksum", said)
        self.assertIn("/a/big: 1048576 of 1048576 bytes are lost", said)
        refused = self.backup(cluster, "restore", self.directory, "--into=/bad", status=1).stderr.decode()
        self.assertIn(biggest, refused)
        self.assertNotIn(b"bad", cluster.fs("ls", "/").split())
        flip(biggest, 5000)
        self.backup(cluster, "verify", self.directory)

        smallest = min(chunks, key=os.path.getsize)
        os.rename(smallest, f"{self.folder}/kept")
        report = json.loads(self.backup(cluster, "verify", "--json", self.directory, status=1).stdout)
        self.assertFalse(report["good"])
        self.assertTrue(any("it is missing" in line["problem"] for line in report["problems"]), report)
        # The next backup needs that chunk as well, and copies it again.
        self.assertEqual(self.create(cluster)["new_chunks"], 1)
        self.backup(cluster, "verify", self.directory)

        flip(manifest, 100)
        said = self.backup(cluster, "verify", self.directory, made["backup"], status=1).stdout.decode()
        self.assertIn("damaged at offset", said)
        self.assertIn(b"damaged", self.backup(cluster, "list", self.directory, status=1).stdout)
        # What the damaged manifest needs is not known any more, so nothing goes.
        kept = self.chunk_files()
        said = self.backup(cluster, "prune", self.directory, "--keep=5", status=1).stderr.decode()
        self.assertIn("no chunk is removed while a manifest cannot be read", said)
        self.assertEqual(self.chunk_files(), kept)

    def start_create(self, cluster):
        return spawn([SANDSTORE, "backup", "create", self.directory], stdout=harness.subprocess.PIPE,
                     stderr=harness.subprocess.PIPE, env=clean_environment(SANDSTORE_SERVERS=cluster.servers()))

    def test_an_interrupted_backup_does_not_count_and_the_next_run_goes_on(self):
        cluster = self.cluster(**{"debug-faults": "true"}).start()
        cluster.await_leader()
        self.fill(cluster)
        many = [f"{self.folder}/small-{i}" for i in range(64)]  # More than are copied at once.
        for path in many:
            with open(path, "w") as file:
                file.write(path)
        cluster.fs("put", *many, "/a/b/c")
        self.slow_disks(cluster, 100)
        for how in signal.SIGKILL, signal.SIGINT:
            have = len(self.chunk_files())
            create = self.start_create(cluster)
            wait_until("some chunks are copied",
                       lambda: len(self.chunk_files()) > have + 2 or create.poll() is not None)
            create.send_signal(how)
            create.communicate()
            self.assertNotEqual(create.returncode, 0)
            self.assertEqual(json.loads(self.backup(cluster, "list", "--json", self.directory).stdout), [])
        self.slow_disks(cluster, 0)
        # Half written, as a crash of the machine may leave it.
        before = self.chunk_files()
        with open(before[0], "r+b") as file:
            file.truncate(os.path.getsize(before[0]) - 1)
        with open(before[-1], "r+b") as file:
            file.seek(os.path.getsize(before[-1]) - 1)
            file.write(b"\0")
        made = self.create(cluster)
        self.assertLess(made["new_chunks"], made["chunks"])
        self.backup(cluster, "verify", self.directory)

    def test_a_backup_survives_the_loss_of_the_leader_and_a_restore_can_be_repeated(self):
        cluster, fresh = self.cluster().start(), self.cluster().start()
        leader = cluster.await_leader()
        self.fill(cluster, big=56 << 20)
        create = self.start_create(cluster)
        wait_until("some chunks are copied", lambda: self.chunk_files() or create.poll() is not None)
        leader.kill()
        output, errors = create.communicate(timeout=harness.PATIENCE_S * 4)
        self.assertEqual(create.returncode, 0, errors.decode())
        self.backup(cluster, "verify", self.directory)

        fresh.await_leader()
        restore = spawn([SANDSTORE, "backup", "restore", self.directory], stderr=harness.subprocess.PIPE,
                        env=clean_environment(SANDSTORE_SERVERS=fresh.servers()))
        wait_until("something is restored", lambda: b"/a" in fresh.fs("ls", "-aR", "/") or restore.poll() is not None)
        restore.kill()
        restore.communicate()
        self.backup(fresh, "restore", self.directory)
        self.assertEqual(self.tree(cluster), self.tree(fresh))


if __name__ == "__main__":
    harness.main()
