"""A cluster of real processes on this machine, with the proxy of links.py between its nodes."""
import concurrent.futures
import json
import os
import signal
import urllib.request

import harness
from chaos_tool.links import Links

# Snapshots are taken and installed within minutes of load.
NODE_FLAGS = {"debug-faults": "true", "snapshot-log-size": "16MiB"}


class LocalNode(harness.Node):
    def __init__(self, cluster, node_id, flags):
        super().__init__(cluster, node_id, **{**NODE_FLAGS, **flags})
        self.proxy_port = harness.free_port()
        self.paused = False

    def signal(self, number):
        if self.running():
            os.kill(self.child.pid, number)


class LocalCluster(harness.Cluster):
    mode = "local"

    def __init__(self, size, flags=None):
        super().__init__(0)
        self.nodes = [LocalNode(self, f"node-{i + 1}", flags or {}) for i in range(size)]
        self.by_id = {node.node_id: node for node in self.nodes}
        self.links = Links({node.node_id: (node.proxy_port, node.port) for node in self.nodes})

    def peers(self):
        """The others, and clients, reach a node through the proxy."""
        return ",".join(f"{node.node_id}=127.0.0.1:{node.proxy_port}" for node in self.nodes)

    def names(self):
        return list(self.by_id)

    def log_paths(self):
        return {node.node_id: node.log_path for node in self.nodes}

    def host_address(self, node_id):
        return self.by_id[node_id].address

    def http_address(self, node_id):
        return f"127.0.0.1:{self.by_id[node_id].http_port}"

    def describe(self):
        return ", ".join(f"{node.node_id} pid {node.child.pid} at {node.address}" for node in self.nodes)

    # --- What faults are made of -----------------------------------------------------------------------------------
    def kill(self, node_id):
        self.by_id[node_id].kill()

    def restart(self, node_id):
        node = self.by_id[node_id]
        if not node.running():
            node.start()
            node.paused = False

    def pause(self, node_id):
        self.by_id[node_id].signal(signal.SIGSTOP)
        self.by_id[node_id].paused = True

    def resume(self, node_id):
        self.by_id[node_id].signal(signal.SIGCONT)
        self.by_id[node_id].paused = False

    def healthy(self, node_id):
        node = self.by_id[node_id]
        return node.running() and not node.paused

    def cut(self, source, target):
        self.links.cut(source, target)

    def mend(self, source, target):
        self.links.mend(source, target)

    def slow(self, node_id, delay_ms, jitter_ms):
        for other in self.by_id:
            if other != node_id:
                for pair in ((node_id, other), (other, node_id)):
                    self.links.slow(*pair, delay_ms / 1000, jitter_ms / 1000)

    def set_faults(self, node_id, **faults):
        post_faults(self.http_address(node_id), faults)

    def faults_of(self, node_id):
        return read_faults(self.http_address(node_id))

    # --- Healing ---------------------------------------------------------------------------------------------------
    def heal(self):
        """Whatever was done to it, undone; every step is tried. Gives sentences on what could not be."""
        problems = []
        for node in self.nodes:
            for step in (lambda: self.resume(node.node_id), lambda: self.restart(node.node_id)):
                try:
                    step()
                except OSError as error:
                    problems.append(f"{node.node_id}: {error}")
        self.links.heal()
        for node in self.nodes:
            try:
                harness.wait_until(f"{node.node_id} takes its faults back", lambda: self.set_faults(
                    node.node_id, **NO_FAULTS) or True, 15)
            except AssertionError as error:
                problems.append(str(error))
        return problems

    def unhealed(self):
        """What is still not as it should be, as sentences: looked at from the outside, not remembered."""
        found = [f"the link from {source} to {target} is {state}" for source, target, state in self.links.state()]
        for node in self.nodes:
            if not node.running():
                found.append(f"{node.node_id} does not run")
                continue
            with open(f"/proc/{node.child.pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] in "Tt":
                    found.append(f"{node.node_id} is stopped")
            found += wrong_faults(self, node.node_id)
        return found

    def close(self, keep=False):
        self.links.close()
        for node in self.nodes:
            node.kill()
        if not keep:
            remove_files(self.folder)
        super().close(keep)


def remove_files(folder):
    """Side by side: a disk that discards what is freed takes milliseconds for each of a hundred thousand chunks."""
    paths = [os.path.join(place, name) for place, _, names in os.walk(folder) for name in names]
    with concurrent.futures.ThreadPoolExecutor(16) as workers:
        for _ in workers.map(os.unlink, paths):
            pass


NO_FAULTS = {"disk_delay_ms": 0, "disk_full": False, "wall_clock_offset_ms": 0}


def wrong_faults(cluster, node_id):
    try:
        faults = cluster.faults_of(node_id)
    except OSError as error:
        return [f"{node_id} does not tell its faults: {error}"]
    return [f"{node_id} has {faults}"] if faults != NO_FAULTS else []


def post_faults(address, faults):
    """OSError when the node does not take them."""
    request = urllib.request.Request(f"http://{address}/debug/faults", json.dumps(faults).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=3) as answer:
        return json.loads(answer.read())


def read_faults(address):
    with urllib.request.urlopen(f"http://{address}/debug/faults", timeout=3) as answer:
        return json.loads(answer.read())
