"""What a run did to its clients: the history and the events as figures. All times are seconds since the run began."""
import bisect
import collections
import dataclasses

WRITES = {"create", "write", "append", "remove", "rename", "note", "make"}
PAUSE_S = 0.5         # No write acknowledged for longer than this counts as unavailable.
ELECTION_WITHIN_S = 15  # Of a fault that takes the leader away; a later one has another reason.
ELECTION_AFTER_S = 1    # Of the end of any fault.


@dataclasses.dataclass
class Operation:
    begun: float
    kind: str
    ended: float = None
    outcome: str = "open"


def read_operations(path, began):
    """The operations of the load; what is read at the end, beyond 2^31, is left out."""
    operations = {}
    with open(path) as file:
        for line in file:
            words = line.split(maxsplit=6)
            if not line.endswith("\n") or words[0] == "final" or int(words[2]) >= 1 << 31:
                continue
            time_s = int(words[1]) / 1e6 - began
            if words[0] == "invoke":
                operations[words[2]] = Operation(time_s, words[5])
            else:
                operations[words[2]].ended, operations[words[2]].outcome = time_s, words[0]
    return list(operations.values())


def quantile(values, share):
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def takes_leader_away(fault):
    """Others cannot hear it, or it cannot hear them: somebody else has to lead."""
    alone = fault["kind"] == "partition" and fault["settings"]["shape"] != "pair"
    return fault["hits_leader"] and (alone or fault["kind"] in ("kill", "pause", "restart-all"))


class Analysis:
    def __init__(self, run):
        self.events = run.journal.events
        self.operations = read_operations(run.history_path, run.journal.began)
        self.faults = self._faults()
        self.leaders = [(event["time_s"], event["node"], event["term"]) for event in self.events
                        if event["event"] == "leader"]
        self.begin = next(event["time_s"] for event in self.events if event["event"] == "begin")
        over = [event["time_s"] for event in self.events if event["event"] in ("over", "load_over", "healed")]
        self.end = max([over[0]] + [fault["end"] for fault in self.faults]) if over else self.events[-1]["time_s"]
        self._acknowledged = sorted(op.ended for op in self.operations if op.outcome == "ok" and op.kind in WRITES)
        self.pauses = self._pauses()
        self.elections = self._elections()
        self.seconds = self._seconds()

    def _faults(self):
        ends = {event["number"]: event["time_s"] for event in self.events if event["event"] == "fault_over"}
        return [{**event, "begin": event["time_s"], "end": ends.get(event["number"], event["time_s"])}
                for event in self.events if event["event"] == "fault"]

    def _pauses(self):
        """[(from, to)] without an acknowledged write, between the first and the last one of the run."""
        times = [time_s for time_s in self._acknowledged if self.begin <= time_s]
        return [(a, b) for a, b in zip(times, times[1:]) if b - a > PAUSE_S]

    def _elections(self):
        """For each fault that took the leader away and led to an election: how long until the next leader, and until a
        write that began after the fault was acknowledged."""
        found = []
        writes = sorted((op.ended, op.begun) for op in self.operations if op.outcome == "ok" and op.kind in WRITES)
        ended = [write[0] for write in writes]
        for at, fault in enumerate(self.faults):
            until = min([fault["begin"] + ELECTION_WITHIN_S]
                        + [later["begin"] for later in self.faults[at + 1:] if later["hits_leader"]])
            after = [entry for entry in self.leaders if fault["begin"] <= entry[0] < until]
            if not takes_leader_away(fault) or not after:
                continue
            # Only what began when the fault was there: the one before may still have answered.
            first = next((end for end, begun in writes[bisect.bisect_left(ended, fault["in_force_s"]):]
                          if begun >= fault["in_force_s"]), None)
            found.append({"number": fault["number"], "kind": fault["kind"], "leader_s": after[0][0] - fault["begin"],
                          "write_s": None if first is None else first - fault["begin"]})
        return found

    def _seconds(self):
        """[(operations acknowledged, others that ended, median ms, p99 ms)] for each second."""
        done, others, latencies = collections.Counter(), collections.Counter(), collections.defaultdict(list)
        for op in self.operations:
            if op.ended is None:
                continue
            second = int(op.ended)
            if op.outcome in ("ok", "missing", "exists"):
                done[second] += 1
                latencies[second].append(1000 * (op.ended - op.begun))
            else:
                others[second] += 1
        return [(done[second], others[second], quantile(latencies[second], 0.5), quantile(latencies[second], 0.99))
                for second in range(int(self.end) + 1)]

    def outcomes(self):
        """{kind: Counter of outcomes}"""
        table = collections.defaultdict(collections.Counter)
        for op in self.operations:
            table[op.kind][op.outcome] += 1
        return table

    def by_kind(self):
        """{kind of fault: (how many, that hit the leader, that saw an election, longest time without a write)}"""
        table = {}
        for fault in self.faults:
            count, hit, elections, longest = table.get(fault["kind"], (0, 0, 0, 0.0))
            pause = max([min(b, fault["end"] + 5) - max(a, fault["begin"]) for a, b in self.pauses
                         if a < fault["end"] and b > fault["begin"]] + [0.0])
            elected = any(fault["begin"] <= time_s <= fault["end"] + ELECTION_AFTER_S
                          for time_s, _, _ in self.leaders)
            table[fault["kind"]] = (count + 1, hit + fault["hits_leader"], elections + elected, max(longest, pause))
        return table
