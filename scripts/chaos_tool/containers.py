"""A cluster of containers, from docker-compose.yaml and scripts/deploy/chaos.yaml, in a project of its own. It needs
root on the machine that runs the containers: links are cut with iptables inside the network namespaces of the nodes,
from the outside, since their image has no tools."""
import json
import os
import random
import shutil
import subprocess

import harness
from chaos_tool.local import NO_FAULTS, post_faults, read_faults, wrong_faults

PROJECT = "sandstore-chaos"
NODES = ["node-1", "node-2", "node-3"]
COMMAND_S = 60


def run(*command, check=True, seconds=COMMAND_S, env=None):
    """Its output; OSError with what it said when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=env,
                              stdin=subprocess.DEVNULL, start_new_session=True)
    except subprocess.TimeoutExpired:
        raise OSError(f"{' '.join(command)} takes more than {seconds} s") from None
    if check and done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


def free_network():
    """The first three numbers of a network that no other container network has."""
    taken = run("docker", "network", "inspect", *run("docker", "network", "ls", "-q").split(), "-f",
                "{{range .IPAM.Config}}{{.Subnet}} {{end}}")
    candidates = [f"172.30.{third}" for third in range(1, 255)]
    random.shuffle(candidates)
    return next(prefix for prefix in candidates if f"{prefix}." not in taken)


class ComposeCluster:
    mode = "compose"

    def __init__(self, folder):
        self.image = os.environ.get("SANDSTORE_IMAGE", "sandstore:local")
        self._check()
        self._logs = os.path.join(os.path.abspath(folder), "container-logs")
        self._network = free_network()
        self._environment = {
            **harness.clean_environment(), "SANDSTORE_IMAGE": self.image, "COMPOSE_PROJECT_NAME": PROJECT,
            "CHAOS_LOGS": self._logs, "CHAOS_NETWORK": self._network}
        for name in ("ETCD_IMAGE", "PUBLISH_ADDRESS"):
            if name in os.environ:
                self._environment[name] = os.environ[name]
        for node in range(1, 4):
            self._environment[f"NODE_{node}_PORT"] = str(harness.free_port())
            self._environment[f"NODE_{node}_HTTP_PORT"] = str(harness.free_port())
        v2 = subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
        self._compose = [*(["docker", "compose"] if v2 else ["docker-compose"]), "-p", PROJECT,
                         "-f", f"{harness.SOURCE_DIR}/docker-compose.yaml",
                         "-f", f"{harness.SOURCE_DIR}/scripts/deploy/chaos.yaml"]
        self._ids = {}
        self._unplugged = set()

    def _check(self):
        if os.geteuid() != 0:
            raise RuntimeError("--compose cuts links in the containers' network namespaces: run it as root")
        for program in ("docker", "nsenter", "iptables"):
            if not shutil.which(program):
                raise RuntimeError(f"--compose needs {program}, which is not installed")
        if subprocess.run(["docker", "image", "inspect", self.image], capture_output=True).returncode != 0:
            raise RuntimeError(f"there is no image {self.image}: make image (or: docker build -t {self.image} .), or "
                               "name another one in SANDSTORE_IMAGE")

    def compose(self, *arguments, check=True, seconds=180):
        return run(*self._compose, *arguments, check=check, seconds=seconds, env=self._environment)

    def start(self):
        self.close()  # What a run that was killed has left.
        shutil.rmtree(self._logs, ignore_errors=True)
        os.makedirs(self._logs)
        os.chmod(self._logs, 0o777)  # The nodes' user writes there.
        self.compose("up", "-d", "--no-build", *NODES)
        self._ids = {name: self.compose("ps", "-a", "-q", name) for name in [*NODES, "etcd"]}
        return self

    def close(self, keep=False):
        self.compose("unpause", check=False)  # A paused container cannot be stopped.
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "3", check=False)

    # --- What it is ------------------------------------------------------------------------------------------------
    def names(self):
        return list(NODES)

    def _ip(self, node_id):
        return f"{self._network}.{NODES.index(node_id) + 11}"

    def host_address(self, node_id):
        return f"{self._ip(node_id)}:8080"

    def http_address(self, node_id):
        return f"{self._ip(node_id)}:9400"

    def log_paths(self):
        return {name: os.path.join(self._logs, f"{name}.log") for name in NODES}

    def describe(self):
        return f"project {PROJECT}, image {self.image}, " + ", ".join(
            f"{name} at {self.host_address(name)}" for name in NODES)

    def _state(self, node_id):
        return json.loads(run("docker", "inspect", "-f", "{{json .State}}", self._ids[node_id]))

    def healthy(self, node_id):
        state = self._state(node_id)
        return state["Running"] and not state["Paused"] and node_id not in self._unplugged

    # --- What faults are made of -----------------------------------------------------------------------------------
    def kill(self, node_id):
        run("docker", "kill", self._ids[node_id], check=False)

    def restart(self, node_id):
        run("docker", "start", self._ids[node_id])

    def pause(self, node_id):
        run("docker", "pause", self._ids[node_id])

    def resume(self, node_id):
        if self._state(node_id)["Paused"]:
            run("docker", "unpause", self._ids[node_id])

    def _iptables(self, node_id, *arguments, check=True):
        pid = str(self._state(node_id)["Pid"])
        if pid != "0":  # A stopped one has no namespace, and no rules.
            run("nsenter", "-t", pid, "-n", "iptables", "-w", *arguments, check=check)

    def cut(self, source, target):
        self._iptables(target, "-A", "INPUT", "-s", self._ip(source), "-j", "DROP")

    def mend(self, source, target):
        # It is gone already when the node was started again meanwhile.
        self._iptables(target, "-D", "INPUT", "-s", self._ip(source), "-j", "DROP", check=False)

    def unplug(self, node_id):
        self._unplugged.add(node_id)
        run("docker", "network", "disconnect", f"{PROJECT}_default", self._ids[node_id])

    def plug(self, node_id):
        run("docker", "network", "connect", "--alias", node_id, "--ip", self._ip(node_id), f"{PROJECT}_default",
            self._ids[node_id])
        self._unplugged.discard(node_id)

    def etcd_away(self):
        run("docker", "pause", self._ids["etcd"])

    def etcd_back(self):
        self.resume("etcd")

    def set_faults(self, node_id, **faults):
        post_faults(self.http_address(node_id), faults)

    def faults_of(self, node_id):
        return read_faults(self.http_address(node_id))

    # --- Healing ---------------------------------------------------------------------------------------------------
    def heal(self):
        problems = []
        if not self._ids:
            return problems
        for node in NODES:
            steps = [lambda: self.resume(node), lambda: self.restart(node),
                     lambda: node in self._unplugged and self.plug(node),
                     lambda: self._iptables(node, "-F", "INPUT")]
            for step in steps:
                try:
                    step()
                except OSError as error:
                    problems.append(f"{node}: {error}")
        try:
            self.etcd_back()
        except OSError as error:
            problems.append(f"etcd: {error}")
        for node in NODES:
            try:
                harness.wait_until(f"{node} takes its faults back",
                                   lambda: self.set_faults(node, **NO_FAULTS) or True, 20)
            except AssertionError as error:
                problems.append(str(error))
        return problems

    def unhealed(self):
        """What is still not as it should be, as sentences: looked at from the outside, not remembered."""
        found = []
        for name in self._ids:
            state = self._state(name)
            if not state["Running"] or state["Paused"]:
                found.append(f"{name} is {state['Status']}")
        for node in NODES if self._ids else []:
            networks = json.loads(run("docker", "inspect", "-f", "{{json .NetworkSettings.Networks}}", self._ids[node]))
            if f"{PROJECT}_default" not in networks:
                found.append(f"{node} is not plugged in")
            pid = str(self._state(node)["Pid"])
            rules = run("nsenter", "-t", pid, "-n", "iptables", "-w", "-S", "INPUT")
            found += [f"{node} has the rule {rule}" for rule in rules.splitlines() if "DROP" in rule]
            found += wrong_faults(self, node)
        return found
