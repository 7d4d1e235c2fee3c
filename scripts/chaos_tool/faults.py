"""What a fault does to a cluster, and how it is undone. A fault that has begun is a list of steps to take it back, and
for one that flaps a step to do again and again."""


class Skipped(Exception):
    """The fault cannot be had now, and why."""


class Active:
    """A fault that lasts: `undo` in reverse order ends it."""

    def __init__(self, fault, nodes):
        self.fault, self.nodes = fault, nodes
        self.undo = []
        self.tick_s = None  # When given, tick() is called that often.
        self.tick = None

    def end(self):
        """Every step is tried; the first error is raised afterwards."""
        problem = None
        while self.undo:
            try:
                self.undo.pop()()
            except OSError as error:
                problem = problem or error
        if problem:
            raise problem


def choose_node(fault, cluster, leader, active):
    """The node that the fault is about; one that another fault has hold of is no good."""
    taken = {node for other in active for node in other.nodes}
    free = [node for node in cluster.names() if node not in taken and cluster.healthy(node)]
    if not free:
        raise Skipped("every node suffers already")
    wanted = leader if fault.target == "leader" else fault.target
    if fault.target == "follower":
        followers = [node for node in free if node != leader]
        wanted = fault.reserve if fault.reserve in followers else (followers or [None])[0]
    for node in (wanted, fault.reserve):
        if node in free:
            return node
    return free[0]


def begin(fault, cluster, leader, active):
    if fault.kind in ("restart-all", "etcd"):
        if fault.kind == "restart-all" and active:
            raise Skipped("other faults last")
        started = Active(fault, cluster.names() if fault.kind == "restart-all" else [])
    else:
        started = Active(fault, [choose_node(fault, cluster, leader, active)])
    # What it does is undone even when it fails half way.
    try:
        _BEGIN[fault.kind](started, cluster)
    except OSError:
        started.end()
        raise
    return started


def _kill(started, cluster):
    for node in started.nodes:
        started.undo.append(lambda node=node: cluster.restart(node))
        cluster.kill(node)


def _pause(started, cluster):
    node = started.nodes[0]
    started.undo.append(lambda: cluster.resume(node))
    cluster.pause(node)


def pairs_of(shape, node, nodes):
    """The directed links that a partition cuts."""
    others = [other for other in nodes if other != node]
    if shape == "pair":
        others = others[:1]
    pairs = []
    for other in others:
        if shape != "one-way-out":
            pairs.append((other, node))
        if shape != "one-way-in":
            pairs.append((node, other))
    return pairs


def _cut(cluster, pairs):
    for pair in pairs:
        cluster.cut(*pair)


def _mend(cluster, pairs):
    for pair in pairs:
        cluster.mend(*pair)


def _partition(started, cluster):
    node, shape = started.nodes[0], started.fault.setting("shape")
    if shape == "unplug":
        started.undo.append(lambda: cluster.plug(node))
        cluster.unplug(node)
        return
    pairs = pairs_of(shape, node, cluster.names())
    started.undo.append(lambda: _mend(cluster, pairs))
    _cut(cluster, pairs)


def _flap(started, cluster):
    pairs = pairs_of(started.fault.setting("shape"), started.nodes[0], cluster.names())
    state = {"cut": True}

    def tick():
        state["cut"] = not state["cut"]
        (_cut if state["cut"] else _mend)(cluster, pairs)
    started.tick_s, started.tick = started.fault.setting("every_ms") / 1000, tick
    started.undo.append(lambda: state["cut"] and tick())
    _cut(cluster, pairs)


def _slow_network(started, cluster):
    node = started.nodes[0]
    started.undo.append(lambda: cluster.slow(node, 0, 0))
    cluster.slow(node, started.fault.setting("delay_ms"), started.fault.setting("jitter_ms"))


def _inside(started, cluster, change, back):
    node = started.nodes[0]
    started.undo.append(lambda: cluster.set_faults(node, **back))
    cluster.set_faults(node, **change)


_BEGIN = {
    "kill": _kill,
    "pause": _pause,
    "partition": _partition,
    "flap": _flap,
    "slow-network": _slow_network,
    "slow-disk": lambda started, cluster: _inside(
        started, cluster, {"disk_delay_ms": started.fault.setting("delay_ms")}, {"disk_delay_ms": 0}),
    "full-disk": lambda started, cluster: _inside(started, cluster, {"disk_full": True}, {"disk_full": False}),
    "clock": lambda started, cluster: _inside(
        started, cluster, {"wall_clock_offset_ms": round(started.fault.setting("step_s") * 1000)},
        {"wall_clock_offset_ms": 0}),
    "restart-all": _kill,
    "etcd": lambda started, cluster: (started.undo.append(cluster.etcd_back), cluster.etcd_away()),
}
