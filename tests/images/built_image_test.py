#!/usr/bin/env python3
"""A built image, from outside: built_image_test.py IMAGE. What is in it, how it wants to be run, what it says about
itself. tests/containers/run calls this; how a cluster of it behaves is tested there."""
import gzip
import hashlib
import io
import json
import os
import re
import struct
import subprocess
import sys
import tarfile
import unittest

sys.dont_write_bytecode = True
import spdx  # noqa: E402

IMAGE = ""
BYTES_MAX = {"minimal": 6_000_000}  # Of 10 MB at most otherwise.
PROGRAMS = ["/usr/local/bin/sandstore", "/usr/local/bin/smoke"]


def docker(*arguments, **options):
    return subprocess.run(["docker", *arguments], capture_output=True, stdin=subprocess.DEVNULL, **options)


def files_of(image):
    """The image's own files, its layers one over the other: name -> (TarInfo, content)."""
    files = {}
    with tarfile.open(fileobj=io.BytesIO(docker("save", image, check=True).stdout)) as saved:
        for layer in json.load(saved.extractfile("manifest.json"))[0]["Layers"]:
            with tarfile.open(fileobj=saved.extractfile(layer)) as tar:
                for member in tar:
                    content = tar.extractfile(member).read() if member.isreg() else b""
                    files["/" + member.name.strip("./")] = (member, content)
    return files


def program_headers(elf):
    """(type of the file, types of its segments, tags of its dynamic section) of a 64-bit little-endian program."""
    assert elf[:6] == b"\x7fELF\x02\x01"
    kind, = struct.unpack_from("<H", elf, 16)
    table, = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    segments, tags = [], []
    for at in range(table, table + size * count, size):
        segment, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", elf, at)
        segments.append(segment)
        if segment == 2:  # The dynamic section.
            tags = [struct.unpack_from("<Q", elf, entry)[0] for entry in range(offset, offset + length, 16)]
    return kind, segments, tags


class Image(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.inspected = json.loads(docker("image", "inspect", IMAGE, check=True).stdout)[0]
        cls.config = cls.inspected["Config"]
        cls.files = files_of(IMAGE)

    def content(self, name):
        self.assertIn(name, self.files)
        return self.files[name][1]

    def test_it_is_small(self):
        profile = self.config["Labels"]["sandstore.profile"]
        self.assertLessEqual(self.inspected["Size"], BYTES_MAX.get(profile, 10_000_000))
        self.assertLessEqual(len(self.inspected["RootFS"]["Layers"]), 4)

    def test_programs_need_nothing_else(self):
        for name in PROGRAMS:
            member = self.files[name][0]
            if member.issym():
                self.assertEqual(member.linkname, "sandstore")
                continue
            kind, segments, tags = program_headers(self.content(name))
            self.assertEqual(kind, 3, f"{name}: not position independent")
            self.assertNotIn(3, segments, f"{name} asks for an interpreter")
            self.assertNotIn(1, tags, f"{name} needs a shared library")
            self.assertEqual((member.uid, member.mode & 0o777), (0, 0o755))

    def test_there_is_nothing_to_run_but_the_two_programs(self):
        executable = [name for name, (member, _) in self.files.items()
                      if (member.isreg() and member.mode & 0o111) or (member.issym() and name.startswith("/usr"))]
        self.assertEqual(sorted(executable), PROGRAMS)
        self.assertNotIn("/etc/nsswitch.conf", self.files)

    def test_its_user_owns_the_two_directories_and_nothing_else(self):
        self.assertEqual(self.config["User"], "10001:10001")
        owned = sorted(name for name, (member, _) in self.files.items() if member.uid or member.gid)
        self.assertEqual(owned, ["/var/lib/sandstore", "/var/log/sandstore"])

    def test_how_it_is_run(self):
        self.assertEqual(self.config["Entrypoint"], ["/usr/local/bin/sandstore"])
        self.assertEqual(self.config["StopSignal"], "SIGTERM")
        self.assertEqual(self.config["Healthcheck"]["Test"], ["CMD", "/usr/local/bin/sandstore", "health"])
        self.assertEqual(sorted(self.config["ExposedPorts"]), ["8080/tcp", "9400/tcp"])

    def test_its_labels(self):
        labels = self.config["Labels"]
        for name in ("title", "description", "licenses", "version", "revision", "created", "base.name"):
            self.assertTrue(labels.get(f"org.opencontainers.image.{name}"), name)
        self.assertRegex(labels["org.opencontainers.image.created"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        version = docker("run", "--rm", IMAGE, "version", check=True).stdout.decode()
        self.assertIn(labels["org.opencontainers.image.version"], version)
        self.assertIn(labels["org.opencontainers.image.revision"], version)

    def test_it_runs_without_any_rights(self):
        for program, words in (("sandstore", "Usage: sandstore"), ("smoke", "smoke [flags]")):
            done = docker("run", "--rm", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges",
                          "--network=none", f"--entrypoint=/usr/local/bin/{program}", IMAGE, "--help")
            self.assertEqual(done.returncode, 0, done.stderr.decode())
            self.assertIn(words, done.stdout.decode())

    def test_its_bill_of_materials(self):
        document = json.loads(self.content("/usr/share/sandstore/sbom.spdx.json"))
        self.assertEqual(spdx.faults(document), [])
        listed = {file["fileName"][1:]: file["checksums"][1]["checksumValue"] for file in document["files"]}
        actual = {name: hashlib.sha256(self.content(name)).hexdigest() for name in PROGRAMS
                  if not self.files[name][0].issym()}
        self.assertEqual(listed, actual)
        packages = {package["name"] for package in document["packages"]} - {"sandstore"}
        self.assertTrue({"libprotobuf-dev", "libevent-dev", "libspdlog-dev", "libisal", "libjsoncpp"} <= packages)
        self.assertTrue(any(re.match(r"libc6-dev", name) for name in packages), packages)
        for name in packages:
            self.assertTrue(gzip.decompress(self.content(f"/usr/share/doc/{name}/copyright.gz")), name)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(f"usage: {os.path.basename(sys.argv[0])} IMAGE")
    IMAGE = sys.argv.pop(1)
    unittest.main(verbosity=1)
