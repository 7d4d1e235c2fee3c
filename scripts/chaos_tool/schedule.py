"""The schedule: which fault begins when, what it concerns and how long it lasts. It follows from the seed, the
duration, the number of nodes and the kinds alone, so the same command line gives the same schedule. Who leads is not
known beforehand: "leader" and "follower" are looked up when their time comes, with a numbered node in reserve."""
import dataclasses
import random
import re

CALM_BEFORE_S = 3.0  # Until the load runs evenly,
CALM_AFTER_S = 3.0   # and for the last fault's end to be seen.
GAP_S = (1.0, 4.0)   # Between the end of a fault and the next one,
OVERLAP = 0.2        # unless it begins before that end.

# kind: (weight, where it can be had, how long it lasts, what it does)
LOCAL, COMPOSE = "local", "compose"
KINDS = {
    "kill": (20, {LOCAL, COMPOSE}, (0.5, 4.0), "SIGKILL; started again after that time"),
    "pause": (12, {LOCAL, COMPOSE}, (0.5, 5.0), "SIGSTOP, as a virtual machine that is moved"),
    "partition": (22, {LOCAL, COMPOSE}, (2.0, 8.0), "links between nodes carry nothing: both ways, one way, one pair"),
    "slow-network": (10, {LOCAL}, (3.0, 10.0), "all links of a node deliver late, with jitter"),
    "flap": (8, {LOCAL, COMPOSE}, (3.0, 8.0), "a link goes and comes several times a second, or every few"),
    "slow-disk": (10, {LOCAL, COMPOSE}, (3.0, 8.0), "every request to the disk takes longer; at its worst it hangs"),
    "full-disk": (6, {LOCAL, COMPOSE}, (3.0, 8.0), "what needs more room on the disk fails with ENOSPC"),
    "clock": (8, {LOCAL, COMPOSE}, (2.0, 8.0), "the wall clock steps forward or back, and later returns"),
    "restart-all": (4, {LOCAL, COMPOSE}, (0.2, 1.5), "SIGKILL of all nodes at once, and all are started again"),
    "etcd": (4, {COMPOSE}, (3.0, 10.0), "etcd is away"),
}


@dataclasses.dataclass(frozen=True)
class Fault:
    number: int
    at_s: float
    for_s: float
    kind: str
    target: str        # "leader", "follower", "node-2", "all", or "network"
    reserve: str       # In place of a target that cannot be had.
    settings: tuple    # (name, value), ...

    def setting(self, name):
        return dict(self.settings)[name]

    def text(self):
        what = " ".join(f"{name}={value}" for name, value in self.settings)
        return (f"{self.at_s:8.3f} s  {self.number:3d}  {self.kind:<12} {self.target:<9} for {self.for_s:6.3f} s  "
                f"reserve={self.reserve}  {what}").rstrip()


def parse_duration(text):
    """"90", "90s", "10m", "1h" in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text)
    if not match:
        raise ValueError(f'"{text}" is no duration; write 90s, 10m or 1h')
    return float(match[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, None: 1}[match[2]]


def kinds_of(mode):
    return [kind for kind, (_, modes, _, _) in KINDS.items() if mode in modes]


def parse_kinds(text, mode):
    """The kinds named in the text; a ValueError says what is wrong with one."""
    kinds = [word.strip() for word in text.split(",") if word.strip()]
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f'"{kind}" is no fault; there are {", ".join(KINDS)}')
        if mode not in KINDS[kind][1]:
            why = {"slow-network": "containers have no delays here (the kernel would need netem); use --local",
                   "etcd": "the local cluster has no etcd; use --compose"}[kind]
            raise ValueError(f'"{kind}": {why}')
    if not kinds:
        raise ValueError("no faults are named")
    return sorted(set(kinds), key=list(KINDS).index)


def draw(seed, duration_s, nodes, kinds, mode=LOCAL):
    """The faults in the order of their times."""
    rng = random.Random(f"{seed} {duration_s:.3f} {nodes} {mode} {','.join(kinds)}")
    names = [f"node-{i + 1}" for i in range(nodes)]
    faults = []
    at = CALM_BEFORE_S
    while True:
        kind = rng.choices(kinds, [KINDS[kind][0] for kind in kinds])[0]
        length = round(rng.uniform(*KINDS[kind][2]), 3)
        if at + length > duration_s - CALM_AFTER_S:
            return faults
        faults.append(_fault(rng, len(faults) + 1, round(at, 3), length, kind, names, mode))
        overlaps = rng.random() < OVERLAP and kind != "restart-all"
        at += rng.uniform(0.2, length) if overlaps else length + rng.uniform(*GAP_S)


def _fault(rng, number, at_s, for_s, kind, names, mode):
    reserve = rng.choice(names)
    target = rng.choice(["leader", "leader", "follower", reserve])
    settings = []
    if kind == "partition":
        shapes = ["both-ways", "both-ways", "one-way-in", "one-way-out", "pair"]
        settings.append(("shape", rng.choice(shapes + (["unplug"] if mode == COMPOSE else []))))
    elif kind == "slow-network":
        delay = round(10 ** rng.uniform(0.7, 2.2))
        settings += [("delay_ms", delay), ("jitter_ms", round(delay * rng.uniform(0, 0.8)))]
    elif kind == "flap":
        settings += [("shape", rng.choice(["both-ways", "one-way-in", "pair"])),
                     ("every_ms", round(10 ** rng.uniform(1.7, 3.2)))]
    elif kind == "slow-disk":
        settings.append(("delay_ms", rng.choice([5, 20, 50, 100, 300, 1000, 3000])))
    elif kind == "clock":
        ahead_s = round(10 ** rng.uniform(-1, 4), 3)
        settings.append(("step_s", rng.choice([1, -1]) * ahead_s))
    elif kind == "restart-all":
        target = "all"
    elif kind == "etcd":
        target = "etcd"
    return Fault(number, at_s, for_s, kind, target, reserve, tuple(settings))


def to_text(seed, duration_s, nodes, kinds, mode, faults):
    head = f"# seed {seed}, {duration_s:g} s, {nodes} nodes, {mode}, faults {','.join(kinds)}: {len(faults)} of them\n"
    return head + "".join(fault.text() + "\n" for fault in faults)
