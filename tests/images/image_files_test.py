#!/usr/bin/env python3
"""The files that the image is made from, without building it: the Dockerfile keeps to what both builders understand
and agrees with the rest of the project, and the bill of materials has the form that SPDX asks for."""
import copy
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import spdx  # noqa: E402

SOURCE_DIR = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def text_of(name):
    with open(os.path.join(SOURCE_DIR, name), encoding="utf-8") as file:
        return file.read()


def instructions():
    """The Dockerfile's instructions, each in one line."""
    lines = [line for line in text_of("Dockerfile").splitlines() if not line.startswith("#")]
    return [line for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines() if line.strip()]


class Dockerfile(unittest.TestCase):
    def test_only_what_the_classic_builder_understands(self):
        for line in instructions():
            self.assertNotRegex(line, r"^RUN\s+--|^(COPY|ADD)\s+.*--(chmod|link|parents|exclude)|<<")
            self.assertNotRegex(line, r"^ADD\b", "nothing is fetched while building")
        self.assertNotIn("# syntax=", text_of("Dockerfile"))

    def test_there_is_no_shell_in_the_image(self):
        stages = "\n".join(instructions()).split("\nFROM scratch AS node\n")
        self.assertEqual(len(stages), 2)
        self.assertNotRegex(stages[1], r"(?m)^RUN\b")
        for line in stages[1].splitlines():
            if re.match(r"(HEALTHCHECK|ENTRYPOINT|CMD)\b", line):
                self.assertRegex(line, r'\["')

    def test_at_most_four_layers(self):
        final = "\n".join(instructions()).split("\nFROM scratch AS node\n")[1].split("\nFROM node AS debug")[0]
        layers = [line for line in final.splitlines() if re.match(r"(COPY|ADD|RUN|WORKDIR)\b", line)]
        self.assertLessEqual(len(layers), 4, layers)

    def test_the_version_is_that_of_the_project(self):
        version = re.search(r"project\(sandstore VERSION ([\d.]+)", text_of("CMakeLists.txt")).group(1)
        self.assertIn(f"ARG SANDSTORE_VERSION={version}", instructions())

    def test_every_build_option_is_an_argument(self):
        names = subprocess.run([f"{SOURCE_DIR}/scripts/build-profile", "--names"], capture_output=True, text=True,
                               check=True).stdout.split()
        self.assertGreater(len(names), 1)
        selection = " ".join(line for line in instructions() if line.startswith("RUN set --"))
        for name in names:
            self.assertEqual(instructions().count(f"ARG {name}"), 2, f"{name}: once to build with, once for the label")
            self.assertIn(f'"{name}=${name}"', selection)

    def test_every_file_it_needs_is_in_the_context(self):
        allowed = {line[1:] for line in text_of(".dockerignore").splitlines() if line.startswith("!")}
        needed = set(re.findall(r"(?<![\w/])(?:/source/)?(scripts/[\w.-]+)", "\n".join(instructions())))
        needed.update(re.findall(r"include\((scripts/[\w.-]+)\)", text_of("CMakeLists.txt")))
        self.assertIn("scripts/image-root", needed)
        self.assertEqual(needed - allowed, set())
        for name in allowed:
            self.assertTrue(name == "messages/*.proto" or os.path.exists(os.path.join(SOURCE_DIR, name)), name)


class BillOfMaterials(unittest.TestCase):
    PROGRAMS = [("/usr/local/bin/sandstore", "a" * 40, "b" * 64), ("/usr/local/bin/smoke", "c" * 40, "d" * 64)]
    MATERIALS = [("libstdc++-12-dev", "12.2.0-14+deb12u1", "amd64", "gcc-12", "12.2.0-14+deb12u1", "linked",
                  "GPL-3.0-or-later WITH GCC-exception-3.1"),
                 ("libspdlog-dev", "1:1.10.0+ds-0.4", "amd64", "spdlog", "1:1.10.0+ds-0.4", "headers", "MIT"),
                 ("curl", "7.88.1-10+deb12u15", "source", "curl", "7.88.1-10+deb12u15", "built", "curl")]

    def document(self, **variables):
        settings = {"version": "1.2.3", "commit": "0123456789ab", "options": 'PROFILE=a "b" \\\\ c',
                    "created": "2026-01-02T03:04:05Z", **variables}
        with tempfile.TemporaryDirectory(prefix="sandstore-test-") as folder:
            for name, rows in (("programs", self.PROGRAMS), ("materials", self.MATERIALS)):
                with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
                    file.writelines("\t".join(row) + "\n" for row in rows)
            done = subprocess.run(["awk", "-F\t", *(f"-v{name}={value}" for name, value in settings.items()), "-f",
                                   f"{SOURCE_DIR}/scripts/sbom.awk", f"{folder}/programs", f"{folder}/materials"],
                                  capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def test_it_is_spdx(self):
        self.assertEqual(spdx.faults(self.document()), [])

    def test_every_program_is_linked_with_every_package(self):
        document = self.document()
        links = [relation for relation in document["relationships"] if relation["relationshipType"] == "STATIC_LINK"]
        self.assertEqual(len(links), len(self.PROGRAMS) * len(self.MATERIALS))
        packages = {package["name"]: package for package in document["packages"]}
        self.assertEqual(packages["curl"]["sourceInfo"], "Debian source package curl 7.88.1-10+deb12u15")
        self.assertEqual(packages["libstdc++-12-dev"]["externalRefs"][0]["referenceLocator"],
                         "pkg:deb/debian/libstdc%2B%2B-12-dev@12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12")

    def test_what_is_wrong_is_found(self):
        good = self.document()
        spoiled = [
            ("spdxVersion", lambda document: document.update(spdxVersion="2.3")),
            ("created", lambda document: document["creationInfo"].update(created="yesterday")),
            ("leads nowhere", lambda document: document["relationships"][1].update(relatedSpdxElement="SPDXRef-Other")),
            ("used twice", lambda document: document["packages"].append(document["packages"][0])),
            ("SHA1", lambda document: document["files"][0]["checksums"].pop(0)),
            ("licence", lambda document: document["packages"][1].update(licenseDeclared="Debian")),
            ("related to nothing", lambda document: document["packages"].append(
                {**document["packages"][1], "SPDXID": "SPDXRef-Package-alone"})),
        ]
        for word, spoil in spoiled:
            document = copy.deepcopy(good)
            spoil(document)
            self.assertTrue(any(word in fault for fault in spdx.faults(document)), word)


if __name__ == "__main__":
    unittest.main(verbosity=2)
