"""Clusters of real processes on loopback, for the tests in this folder. Nothing here sleeps to let something happen:
`wait_until` asks again and again until it has happened, and fails with a sentence when the deadline is over."""
import ctypes
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

SOURCE_DIR = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY_DIR = os.environ.get("SANDSTORE_BINARY_DIR", os.path.join(SOURCE_DIR, "build", "release"))
SANDSTORE = os.path.join(BINARY_DIR, "sandstore")
SMOKE = os.path.join(BINARY_DIR, "smoke")
LOAD = os.path.join(BINARY_DIR, "tests", "cluster_load")

# Sanitizers and busy machines are slow; what a test waits for is generous, what it measures is not.
PATIENCE_S = float(os.environ.get("SANDSTORE_TEST_PATIENCE_S", "30"))

# A program with a sanitizer keeps what it has freed for a while, and borders around all it has: it is larger.
SANITIZED = os.path.basename(BINARY_DIR) in ("asan", "tsan")


def clean_environment(**extra):
    """The caller's environment without what Sandstore reads from it."""
    short = {"NODE_ID", "LISTEN_ADDR", "HTTP_ADDR", "DATA_DIR", "ETCD_ENDPOINTS", "PEERS", "LOG_LEVEL", "LOG_DIR"}
    kept = {name: value for name, value in os.environ.items()
            if name not in short and not name.startswith("SANDSTORE_")}
    return {**kept, **extra}


def wait_until(what, happened, seconds=None):
    """Gives the first true value of happened(); it may raise OSError while the time is not yet come."""
    deadline = time.monotonic() + (seconds or PATIENCE_S)
    last = None
    while True:
        try:
            last = happened()
            if last:
                return last
        except OSError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds or PATIENCE_S:.0f} s for: {what} (last seen: {last!r})")
        time.sleep(0.02)


def port_is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


_given = set()


def free_port():
    """Outside of the range from which the kernel takes the ports of outgoing connections."""
    while True:
        port = random.randrange(15000, 31000)
        if port in _given:
            continue
        if not port_is_free(port):
            continue
        _given.add(port)
        return port


def die_with_parent():
    """In the child: a test that is killed leaves nothing running."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def spawn(command, **options):
    options.setdefault("env", clean_environment())
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen(command, preexec_fn=die_with_parent, **options)


def run(command, **options):
    """For commands that are expected to end by themselves."""
    options.setdefault("env", clean_environment())
    options.setdefault("timeout", PATIENCE_S * 2)
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(command, capture_output=True, **options)


def http_get(url, timeout=2):
    """(status, body); a refused or broken connection raises OSError."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


class Process:
    """A child whose output goes to a file."""

    def __init__(self, name, command, log_path, env=None):
        self.name, self.command, self.log_path = name, command, log_path
        self.env = env or clean_environment()
        self.child = None

    def start(self):
        with open(self.log_path, "ab") as log:
            self.child = spawn(self.command, stdout=log, stderr=subprocess.STDOUT, env=self.env)
        return self

    def running(self):
        return self.child is not None and self.child.poll() is None

    def kill(self):
        if self.running():
            self.child.kill()
        if self.child:
            self.child.wait()

    def terminate(self, seconds=10):
        """SIGTERM; gives (exit status, seconds it took)."""
        began = time.monotonic()
        self.child.terminate()
        status = self.child.wait(seconds)
        return status, time.monotonic() - began

    def wait(self, seconds=None):
        return self.child.wait(seconds or PATIENCE_S)

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()


class Etcd(Process):
    def __init__(self, folder):
        self.port, peer_port = free_port(), free_port()
        self.endpoint = f"127.0.0.1:{self.port}"
        super().__init__("etcd", [
            "etcd", "--name=etcd", f"--data-dir={folder}/etcd",
            f"--listen-client-urls=http://{self.endpoint}", f"--advertise-client-urls=http://{self.endpoint}",
            f"--listen-peer-urls=http://127.0.0.1:{peer_port}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer_port}",
            f"--initial-cluster=etcd=http://127.0.0.1:{peer_port}"], f"{folder}/etcd.log")

    def start(self):
        super().start()
        wait_until("etcd is healthy", lambda: http_get(f"http://{self.endpoint}/health")[0] == 200)
        return self

    def ctl(self, *arguments):
        done = run(["etcdctl", f"--endpoints=http://{self.endpoint}", *arguments],
                   env=clean_environment(ETCDCTL_API="3"))
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()


class Node(Process):
    def __init__(self, cluster, node_id, **flags):
        self.node_id = node_id
        self.port, self.http_port = free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.data_dir = f"{cluster.folder}/{node_id}"
        self.cluster = cluster
        self.flags = flags
        self.binary = SANDSTORE
        super().__init__(node_id, None, f"{cluster.folder}/{node_id}.log")

    def start(self):
        flags = {"node-id": self.node_id, "listen": self.address, "http-listen": f"127.0.0.1:{self.http_port}",
                 "data-dir": self.data_dir, **self.cluster.discovery(), **self.flags}
        self.command = [self.binary, "node", *(f"--{name}={value}" for name, value in flags.items())]
        return super().start()

    def status(self):
        """GET /status, or None while the node does not answer it."""
        try:
            code, body = http_get(f"http://127.0.0.1:{self.http_port}/status")
        except (OSError, http.client.HTTPException):
            return None
        return json.loads(body) if code == 200 else None

    def get(self, path):
        return http_get(f"http://127.0.0.1:{self.http_port}{path}")

    def ready(self):
        return self.get("/readyz")[0] == 200


class Cluster:
    """Nodes node-1 .. node-N in a throw-away folder; with etcd, or with --peers."""

    def __init__(self, size=3, etcd=False, **flags):
        self.folder = tempfile.mkdtemp(prefix="sandstore-test-")
        self.etcd = Etcd(self.folder) if etcd else None
        self.flags = flags
        self.nodes = [Node(self, f"node-{i + 1}", **flags) for i in range(size)]

    def discovery(self):
        if self.etcd:
            return {"etcd-endpoints": self.etcd.endpoint}
        return {"peers": self.peers()}

    def peers(self):
        return ",".join(f"{node.node_id}={node.address}" for node in self.nodes)

    def join(self, node_id, announce=False):
        """A node for the running cluster, not started yet: with --join, or with a record in etcd."""
        node = Node(self, node_id, **self.flags)
        self.nodes.append(node)
        if self.etcd:
            if announce:
                self.etcd.ctl("put", f"/sandstore/config/nodes/{node_id}", "--", json.dumps(
                    {"id": node_id, "address": node.address, "role": "metadata-raft-member", "metadata": {}}))
        else:
            node.flags["join"] = "true"
        return node

    def servers(self):
        return ",".join(node.address for node in self.nodes)

    def start(self):
        for node in self.nodes:
            node.start()
        return self

    def close(self, keep=False):
        for process in [*self.nodes, self.etcd]:
            if process:
                process.kill()
        if keep:
            print(f"the cluster's folder is kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def node(self, node_id):
        return next(node for node in self.nodes if node.node_id == node_id)

    def running(self):
        return [node for node in self.nodes if node.running()]

    def leader(self, besides=None):
        """The node that all running nodes see as leader, once they agree."""
        seen = set()
        for node in self.running():
            status = node.status()
            seen.add(status["leader"] if status else None)
        if len(seen) != 1 or None in seen or seen == {besides}:
            return None
        leader = self.node(seen.pop())
        return leader if leader.running() else None

    def await_leader(self, besides=None, seconds=None):
        return wait_until("all running nodes agree on a leader", lambda: self.leader(besides), seconds)

    def sandstore(self, *arguments, input=b"", **options):
        """The command line against this cluster; gives the CompletedProcess."""
        env = clean_environment(SANDSTORE_SERVERS=self.servers())
        return run([SANDSTORE, *arguments], input=input, env=env, **options)

    def fs(self, *arguments, input=b""):
        """`sandstore fs ...`; its output, or an AssertionError with what it said."""
        done = self.sandstore("fs", *arguments, input=input)
        assert done.returncode == 0, f"fs {' '.join(arguments)}: status {done.returncode}: {done.stderr.decode()}"
        return done.stdout

    def put(self, path, content):
        self.fs("put", "-", path, input=content)

    def cat(self, path):
        return self.fs("cat", path)

    def status(self, *flags):
        done = self.sandstore("status", "--json", *flags)
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    def await_caught_up(self, seconds=None):
        """Until every node is up and has applied what the most advanced one has committed."""
        def caught_up():
            try:
                nodes = self.status()["nodes"]
            except AssertionError:
                return False
            most = max(node["commit_index"] for node in nodes)
            return len(nodes) == len(self.nodes) and all(n["up"] and n["applied_index"] >= most for n in nodes)
        wait_until("every node has applied what is committed", caught_up, seconds)

    def await_feature_level(self, level):
        """A new cluster has the level of its programs when its first leader has heard all of them."""
        wait_until(f"the log is of feature level {level}",
                   lambda: self.status()["configuration"]["feature_level"] >= level)

    def await_equal_state(self, seconds=None):
        """Until all replicas report one state hash at one applied index. Unequal at the same index is an error."""
        def equal():
            nodes = self.status("--state-hash")["nodes"]
            if len(nodes) != len(self.nodes) or not all(node["up"] and "state_hash" in node for node in nodes):
                return False
            indexes = {node["state_hash_index"] for node in nodes}
            hashes = {node["state_hash"] for node in nodes}
            if len(indexes) > 1:
                return False
            assert len(hashes) == 1, f"replicas differ at index {indexes}: {nodes}"
            return True
        wait_until("all replicas are at one index", equal, seconds)


class ClusterTest(unittest.TestCase):
    """Shows the logs of the clusters it made when a test fails."""

    def cluster(self, **options):
        cluster = Cluster(**options)
        self.addCleanup(self._close, cluster)
        return cluster

    def _close(self, cluster):
        failed = self._failed()
        if failed:
            for process in [*cluster.nodes, cluster.etcd]:
                if process and os.path.exists(process.log_path):
                    tail = "\n".join(process.log().splitlines()[-40:])
                    print(f"--- {process.name}, the end of its log\n{tail}", flush=True)
        cluster.close(keep=failed and "SANDSTORE_TEST_KEEP" in os.environ)

    def _failed(self):
        outcome = self._outcome
        errors = outcome.result.errors + outcome.result.failures if hasattr(outcome, "result") else outcome.errors
        return any(test is self and text for test, text in errors)

    def assertRefused(self, process, *sentences, seconds=None):
        """The process ended by itself, with an error, and said why."""
        status = process.wait(seconds)
        log = process.log()
        self.assertNotEqual(status, 0, log)
        self.assertGreater(status, 0, f"ended by signal {-status}:\n{log}")
        for sentence in sentences:
            self.assertRegex(log, sentence)


def main():
    unittest.main(verbosity=2)


def lines_with(text, pattern):
    return [line for line in text.splitlines() if re.search(pattern, line)]
