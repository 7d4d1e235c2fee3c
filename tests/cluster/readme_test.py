"""README.md as a reader follows it: every command in it is run, in its order, in one shell, against the cluster that
`make run` starts; then the leader is killed, and what the reader did with the cluster is done again. Commands of Docker
are run by tests/containers. And every command in docs/ names programs, flags and targets that exist."""
import glob
import os
import re
import signal
import subprocess

import harness
from harness import (BINARY_DIR, PATIENCE_S, SANDSTORE, SOURCE_DIR, ClusterTest, clean_environment, free_port, run,
                     spawn, wait_until)
from readme_blocks import blocks_of

# What is not run here, and why not.
LEFT_OUT = [
    (r"(\./)?\.ci/run\b|make (test|test-containers|test-long|asan|tsan|check|check-arm64|build|bench|chaos)\b|"
     r"make (size|sbom)\b",
     "it runs this test, takes long, or has a test of its own"),
    (r"make run\b.*\bSETUP=|make$|make help", "it is `make run` again, or shows text"),
    (r"(\w+=\S+ )*(make setup|scripts/setup)\b", "it changes the machine"),
    (r"git clone|cd sandstore\b", "there is a clone already"),
    (r"sandstore top\b", "it is for a terminal"),
]
# What is run smaller than it is written.
SMALLER = [(r"(tests/sim .*)--seeds \d+", r"\1--seeds 5"), (r"(sandstore bench .*)", r"\1 --duration=1s")]
# What goes on until Ctrl-C, and what it says when it is ready.
LASTING = [(r"make run\b|sandstore demo\b", "Ctrl-C ends it"), (r"sandstore node\b", "Became Leader")]


class Shell:
    """One bash for all commands, so that `export` and `cd` last."""

    def __init__(self, folder, env):
        self.output_path = f"{folder}/shell.output"
        with open(self.output_path, "wb") as output:
            self.bash = spawn(["bash"], stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env=env,
                              cwd=SOURCE_DIR)
        self.count = 0

    def output(self):
        with open(self.output_path, errors="replace") as file:
            return file.read()

    def run(self, command):
        """(exit status, what it printed)."""
        self.count += 1
        end = f"--- {self.count} ended with "
        before = len(self.output())
        self.bash.stdin.write(f"{command}\nprintf '\\n{end}%d\\n' $?\n".encode())
        self.bash.stdin.flush()
        found = wait_until(f"the end of: {command}\n{self.output()[-3000:]}",
                           lambda: re.search(rf"{end}(\d+)\n", self.output()), PATIENCE_S * 6)
        return int(found.group(1)), self.output()[before:found.start()]

    def close(self):
        self.bash.stdin.close()
        self.bash.kill()
        self.bash.wait()


class Readme(ClusterTest):
    def setUp(self):
        self.cluster_folder = self.cluster(size=0).folder
        first, http = self.ports_in_a_row(), self.ports_in_a_row()
        servers = ",".join(f"127.0.0.1:{first + i}" for i in range(3))
        # Its own ports instead of 8081 and so on, so that it runs beside anything.
        env = clean_environment(SANDSTORE_PORT=str(first), SANDSTORE_HTTP_PORT=str(http), SANDSTORE_SERVERS=servers,
                                TMPDIR=self.cluster_folder, SETUP="true")
        self.env = env
        self.lasting = []  # Running in the background, newest last: (command, process, output file).
        self.shell = Shell(self.cluster_folder, env)
        self.addCleanup(self.stop_all)
        self.addCleanup(self.shell.close)
        self.assertEqual(self.shell.run(f"export PATH={BINARY_DIR}:$PATH")[0], 0)

    def ports_in_a_row(self):
        while True:
            first = free_port()
            if all(harness.port_is_free(first + i) for i in range(1, 3)):
                return first

    def stop_all(self):
        while self.lasting:
            self.stop_last()

    def stop_last(self):
        command, process, _ = self.lasting.pop()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        status = process.wait(PATIENCE_S)
        self.assertIn(status, (0, 130, -signal.SIGINT), command)

    def adapted(self, text):
        """With nothing of its own in /tmp, no fixed ports, and no long measurements."""
        text = text.strip().replace("/tmp/", f"{self.cluster_folder}/").replace("127.0.0.1:8080", self.lone_address())
        for pattern, smaller in SMALLER:
            text = re.sub(pattern, smaller, text)
        return text

    def lone_address(self):
        if not hasattr(self, "_lone_address"):
            self._lone_address = f"127.0.0.1:{free_port()}"
        return self._lone_address

    def start_lasting(self, command, ready):
        path = f"{self.cluster_folder}/lasting-{len(os.listdir(self.cluster_folder))}.log"
        env = {**self.env, "PATH": f"{BINARY_DIR}:{os.environ['PATH']}"}
        if command.startswith("sandstore node"):
            env.update(LISTEN_ADDR=self.lone_address(), HTTP_ADDR=f"127.0.0.1:{free_port()}")
            del env["SANDSTORE_PORT"], env["SANDSTORE_HTTP_PORT"]
        with open(path, "wb") as output:
            process = spawn(["bash", "-c", f"exec {command}"], stdout=output, stderr=subprocess.STDOUT, env=env,
                            cwd=SOURCE_DIR, start_new_session=True)
        self.lasting.append((command, process, path))

        def is_ready():
            with open(path, errors="replace") as file:
                text = file.read()
            self.assertIsNone(process.poll(), f"{command} ended:\n{text}")
            return ready in text
        wait_until(f"{command} is ready", is_ready, PATIENCE_S * 4)

    def follow(self, command):
        for pattern, _ in LEFT_OUT:
            if re.match(pattern, command.text):
                return
        text = self.adapted(command.text)
        for pattern, ready in LASTING:
            if re.match(pattern, text):
                return self.start_lasting(text, ready)
        if self.lasting and self.lasting[-1][0].startswith("sandstore node"):
            self.stop_last()  # What follows looks at what it left.
        status, output = self.shell.run(text)
        self.assertEqual(status, 0, f"README.md:{command.line}: {text}\n{output}")
        if text == "smoke":
            self.assertEqual(output.strip().splitlines()[-1], "SMOKE OK")

    def test_every_command_does_what_it_says_and_again_without_the_leader(self):
        followed = []
        for block in blocks_of(f"{SOURCE_DIR}/README.md"):
            for command in block.commands:
                if not block.not_run and not command.is_docker():
                    self.follow(command)
                    followed.append(command)
        self.assertGreater(len(followed), 10, "the blocks of README.md were not found")

        # "Kill the leader and do the same again."
        demo = next(path for command, _, path in self.lasting if command.startswith("make run"))
        with open(demo, errors="replace") as file:
            kill = re.search(r"^  kill -9 (\d+) ", file.read(), re.MULTILINE)
        os.kill(int(kill.group(1)), signal.SIGKILL)
        for command in followed:
            if re.match(r"(.*\| *)?(sandstore (fs|status|bench)|smoke)\b", command.text):
                self.follow(command)


class Docs(ClusterTest):
    """Programs, subcommands, flags and make targets that the pages name are there."""

    def help_of(self, words):
        done = run([SANDSTORE, *words, "--help"])
        return done.stdout.decode() if done.returncode == 0 else None

    def problems_with_sandstore(self, arguments):
        words = []
        for argument in arguments:
            if argument.startswith("-") or not re.fullmatch(r"[a-z-]+", argument) or len(words) == 2:
                break
            words.append(argument)
        text = self.help_of(words) or self.help_of(words[:1])
        if text is None:
            return [f"no such command: sandstore {' '.join(words)}"]
        flags = [argument.split("=")[0] for argument in arguments if argument.startswith("--")]
        return [f"no such flag: sandstore {' '.join(words)} {flag}" for flag in flags
                if flag not in ("--help", "--version") and not re.search(rf"--(\[no-\])?{flag[2:]}\b", text)]

    def problems_with(self, text):
        text = re.sub(r"^(\w+=\S* )+", "", text.strip())
        found = []
        for part in re.split(r" *(?:\||&&|;) *", text):
            words = part.split()
            if words[:1] == ["sandstore"]:
                found += self.problems_with_sandstore([word.strip("'\"") for word in words[1:]])
            elif words[:1] == ["make"] and len(words) > 1 and re.fullmatch(r"[a-z-]+", words[1]):
                with open(f"{SOURCE_DIR}/Makefile") as makefile:
                    if not re.search(rf"^([\w -]* )?{words[1]}\b[^=]*:", makefile.read(), re.MULTILINE):
                        found.append(f"no such target: make {words[1]}")
            elif words and re.match(r"(\./)?(scripts|tests|bench)/", words[0]):
                if not os.path.exists(f"{SOURCE_DIR}/{words[0]}"):
                    found.append(f"no such program: {words[0]}")
        return found

    def test_the_pages_name_only_what_there_is(self):
        found, looked_at = [], 0
        for page in sorted(glob.glob(f"{SOURCE_DIR}/docs/*.md") + [f"{SOURCE_DIR}/README.md"]):
            for block in blocks_of(page):
                for command in block.commands:
                    looked_at += 1
                    found += [f"{os.path.basename(page)}:{command.line}: {problem}"
                              for problem in self.problems_with(command.text)]
        self.assertEqual(found, [])
        self.assertGreater(looked_at, 20)


if __name__ == "__main__":
    harness.main()
