"""A wrong choice of what to build: refused by make and CMake alike, with a sentence, before anything else happens."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(ROOT, "scripts", "build-profile")
PROFILES = ["default-etcd", "production-raft", "static", "single-node", "http-etcd", "minimal"]
OPTIONS = ["COMMUNICATOR", "DISCOVERY", "REPLICATOR", "CHUNK_STORE", "TRACE", "TOOLS"]
CLEAN = {name: value for name, value in os.environ.items()
         if name not in OPTIONS + ["PROFILE", "DEPLOY", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"]}


def run(command, **environment):
    return subprocess.run(command, cwd=ROOT, env={**CLEAN, **environment}, text=True, capture_output=True)


def build_profile(*arguments):
    return run([TOOL, *arguments])


def selection(*choices):
    done = build_profile("--selection", *choices)
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


class Table(unittest.TestCase):
    def test_every_profile_resolves_to_one_value_for_each_option(self):
        listed = [line.split()[0] for line in build_profile("--profiles").stdout.splitlines()[1:len(PROFILES) + 1]]
        self.assertEqual(listed, PROFILES)
        values = build_profile("--values").stdout.split()
        for profile in PROFILES:
            chosen = selection(f"PROFILE={profile}")
            self.assertEqual(chosen["BUILD"], profile, "a profile breaks a rule of its own table")
            for option in OPTIONS:
                self.assertIn(f"{option}={chosen[option]}", values)

    def test_every_value_has_its_file_and_every_file_its_value(self):
        expected = {value.lower().replace("=", "_") + ".cc" for value in build_profile("--values").stdout.split()
                    if not value.startswith("PROFILE=")}
        found = {name for name in os.listdir(os.path.join(ROOT, "apps", "modules"))
                 if name.startswith(tuple(f"{option.lower()}_" for option in OPTIONS)) and name.endswith(".cc")}
        self.assertEqual(found, expected)

    def test_the_documentation_shows_the_table_as_it_is(self):
        with open(os.path.join(ROOT, "docs", "builds.md"), encoding="utf-8") as file:
            text = file.read()
        shown = re.search(r"<!-- scripts/build-profile --markdown -->\n(.*?)<!-- end -->", text, re.S)
        self.assertIsNotNone(shown)
        self.assertEqual(shown.group(1).strip(), build_profile("--markdown").stdout.strip())

    def test_no_choice_is_the_default_and_an_empty_one_is_none(self):
        self.assertEqual(selection()["BUILD"], "default-etcd")
        self.assertEqual(selection("PROFILE=", "TRACE="), selection())

    def test_a_single_option_goes_before_the_profile(self):
        chosen = selection("PROFILE=static", "TRACE=off")
        self.assertEqual((chosen["DISCOVERY"], chosen["TRACE"]), ("static", "off"))
        self.assertEqual(chosen["BUILD"], "static with TRACE=off")

    def test_the_prefix_of_cmake_makes_no_difference(self):
        self.assertEqual(selection("SANDSTORE_PROFILE=minimal"), selection("PROFILE=minimal"))


class Refusals(unittest.TestCase):
    def refused(self, choices, *parts):
        done = build_profile(*choices)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertEqual(done.stdout, "")
        for part in parts:
            self.assertIn(part, done.stderr)
        return done.stderr

    def test_an_unknown_profile_names_the_nearest_and_all(self):
        self.refused(["PROFILE=prodution-raft"], "PROFILE=prodution-raft", "Did you mean production-raft?", *PROFILES)

    def test_a_known_mistake_is_explained(self):
        self.refused(["COMMUNICATOR=gprc"], "COMMUNICATOR=gprc", "Did you mean http (there is no gRPC", "tcp, http")

    def test_an_unknown_value_of_each_option_names_the_allowed_ones(self):
        values = build_profile("--values").stdout.split()
        for option in OPTIONS:
            allowed = [value.split("=")[1] for value in values if value.startswith(option + "=")]
            self.refused([f"{option}=nonsense"], f"{option}=nonsense: there is no such value", ", ".join(allowed))

    def test_upper_case_is_no_value_but_finds_it(self):
        self.refused(["DISCOVERY=ETCD"], "Did you mean etcd?")

    def test_a_misspelt_option_names_the_nearest_and_all(self):
        self.refused(["COMUNICATOR=http"], "there is no option COMUNICATOR", "Did you mean COMMUNICATOR?", *OPTIONS)
        self.refused(["SANDSTORE_CHUNKSTORE=disk"], "Did you mean CHUNK_STORE?")

    def test_a_name_that_resembles_nothing_gets_no_guess(self):
        self.assertNotIn("Did you mean", self.refused(["WARP_DRIVE=on"], "there is no option WARP_DRIVE"))

    def test_settings_that_are_no_options_are_left_alone(self):
        self.assertEqual(build_profile("--also", "JOBS SEED", "JOBS=2").returncode, 0)
        self.refused(["--also", "JOBS SEED", "JOB=2"], "Did you mean JOBS?")

    def test_all_mistakes_are_named_at_once(self):
        self.refused(["COMMUNICATOR=x", "TRACE=y", "PROFILE=z"], "COMMUNICATOR=x", "TRACE=y", "PROFILE=z")

    def test_odd_words_stay_words(self):
        for word in ["a\\nb", "$(touch /tmp/x)", "*", "' \" ;", "a=b", "&"]:
            self.refused([f"PROFILE={word}"], f"PROFILE={word}: there is no such profile")
        self.refused(["static"], "not of the form NAME=VALUE")

    def test_a_production_build_refuses_what_could_lose_data(self):
        self.refused(["PROFILE=production-raft", "CHUNK_STORE=memory"],
                     "PROFILE=production-raft with CHUNK_STORE=memory", "acknowledged data")
        self.refused(["PROFILE=production-raft", "REPLICATOR=noop"], "PROFILE=production-raft with REPLICATOR=noop")

    def test_one_node_alone_cannot_have_etcd(self):
        self.refused(["REPLICATOR=noop", "DISCOVERY=etcd"], "DISCOVERY=etcd with REPLICATOR=noop", "never be asked",
                     "DISCOVERY=static")
        self.refused(["PROFILE=minimal", "DISCOVERY=etcd"], "REPLICATOR=noop (of PROFILE=minimal)")


class Additions(unittest.TestCase):
    def test_what_a_choice_requires_is_added_and_said(self):
        said = build_profile("REPLICATOR=raft").stdout
        self.assertIn("REPLICATOR=raft needs a log store: added", said)
        self.assertIn("DISCOVERY=etcd needs libcurl: added", said)

    def test_a_required_value_replaces_that_of_the_profile_and_that_is_said(self):
        done = build_profile("--selection", "REPLICATOR=noop")
        self.assertIn("REPLICATOR=noop needs DISCOVERY=static: chosen", done.stderr)
        self.assertIn("DISCOVERY=static\n", done.stdout)

    def test_a_static_build_brings_no_curl_and_one_without_trace_no_replay(self):
        self.assertEqual(selection("PROFILE=default-etcd")["PARTS"], "log-store snapshots curl replay")
        self.assertEqual(selection("PROFILE=minimal")["PARTS"], "log-store snapshots")


class FrontDoors(unittest.TestCase):
    """Nothing is set up, compiled or built: make is refused before its first recipe, CMake before project()."""

    def make(self, *arguments, **environment):
        return run(["make", "--no-print-directory", "SETUP=false", *arguments], **environment)

    def test_make_refuses_with_status_2_whatever_the_target(self):
        for target in ["build", "image", "test", "run", "up", "help"]:
            done = self.make(target, "PROFILE=prodution-raft")
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("Did you mean production-raft?", done.stderr)

    def test_make_notices_a_misspelt_option(self):
        done = self.make("build", "COMUNICATOR=http")
        self.assertEqual(done.returncode, 2)
        self.assertIn("Did you mean COMMUNICATOR?", done.stderr)

    def test_make_reads_the_environment_too(self):
        self.assertIn("TRACE=maybe: there is no such value", self.make("build", TRACE="maybe").stderr)

    def test_make_says_what_is_added_before_anything_is_installed(self):
        done = self.make("build", "REPLICATOR=noop")
        self.assertIn("REPLICATOR=noop needs DISCOVERY=static: chosen", done.stdout)
        self.assertEqual(done.returncode, 2, "SETUP=false ends it")

    def test_make_up_takes_the_compose_file_that_suits_the_build(self):
        for choice, expected in [("PROFILE=http-etcd", ""), ("PROFILE=static", "static"),
                                 ("DISCOVERY=static", "static"), ("PROFILE=minimal", "single-node"),
                                 ("DEPLOY=five-nodes", "five-nodes")]:
            done = self.make("--eval=show: ; @echo $$DEPLOY", "show", choice)
            self.assertEqual(done.stdout.strip(), expected, choice)

    def cmake(self, *settings):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        # A compiler that cannot be found proves that it was not looked for.
        done = run(["cmake", "-S", ROOT, "-B", folder, "-DCMAKE_CXX_COMPILER=/nonexistent", *settings])
        self.assertNotEqual(done.returncode, 0)
        return done.stderr

    def test_cmake_refuses_a_value_before_it_looks_for_a_compiler(self):
        said = self.cmake("-DSANDSTORE_COMMUNICATOR=gprc")
        self.assertIn("Did you mean http (there is no gRPC", said)
        self.assertNotIn("/nonexistent", said)

    def test_cmake_refuses_an_option_that_does_not_exist(self):
        said = self.cmake("-DSANDSTORE_COMUNICATOR=http")
        self.assertIn("Did you mean COMMUNICATOR?", said)
        self.assertNotIn("/nonexistent", said)

    def test_cmake_accepts_a_selection_and_its_own_settings(self):
        said = self.cmake("-DSANDSTORE_PROFILE=static", "-DSANDSTORE_TESTS=OFF")
        self.assertIn("/nonexistent", said)  # It came as far as the compiler.

    def test_cmake_forgets_what_it_refused(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        run(["cmake", "-S", ROOT, "-B", folder, "-DSANDSTORE_COMUNICATOR=http", "-DSANDSTORE_TRACE=maybe"])
        done = run(["cmake", "-S", ROOT, "-B", folder, "-DCMAKE_CXX_COMPILER=/nonexistent"])
        self.assertIn("/nonexistent", done.stderr)


class RunningTests(unittest.TestCase):
    """scripts/run-tests, with a ctest whose every run fails."""

    def test_a_failure_keeps_nothing_from_running_and_is_listed_with_its_command(self):
        with tempfile.TemporaryDirectory() as folder:
            preset = f"fake-{os.getpid()}"
            temporary = os.path.join(ROOT, "build", preset, "Testing", "Temporary")
            self.addCleanup(shutil.rmtree, os.path.join(ROOT, "build", preset), ignore_errors=True)
            fake = os.path.join(folder, "ctest")
            with open(fake, "w", encoding="utf-8") as file:
                file.write(f"""#!/bin/sh
echo "$@" >>{folder}/calls
mkdir -p {temporary}
n=$(wc -l <{folder}/calls)
echo "$n:broken_$n" >{temporary}/LastTestsFailed.log
exit 8
""")
            os.chmod(fake, 0o755)
            done = run(["scripts/run-tests", preset], PATH=f"{folder}:{os.environ['PATH']}")
            self.assertEqual(done.returncode, 1, done.stderr)
            with open(f"{folder}/calls", encoding="utf-8") as file:
                self.assertEqual(len(file.readlines()), 2, "the second half did not run")
            for name in ("broken_1", "broken_2"):
                self.assertIn(f"ctest --preset {preset} -R '^{name}$'", done.stdout)


if __name__ == "__main__":
    unittest.main()
