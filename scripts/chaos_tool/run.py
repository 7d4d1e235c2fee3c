"""One run: a cluster, a load, the faults of a schedule one after the other, and what is true at the end. Whatever
happens (an error, SIGINT, SIGTERM) everything is healed before it is over."""
import heapq
import itertools
import json
import os
import shutil
import signal
import subprocess
import time

import harness
from chaos_tool import faults as fault_steps
from chaos_tool.watch import LeaderWatch

LOAD = os.path.join(harness.BINARY_DIR, "tests", "chaos_load")
CHECK = os.path.join(harness.BINARY_DIR, "tests", "chaos_check")
CONVERGENCE_S = 90
READY_S = 60
LOAD_END_S = 60
FINAL_READS_S = 300
CHECK_S = 600
SAY_AFTER_S = 1.0  # The end of a fault may lead to an election too.


class Interrupted(Exception):
    """A person or a program wants it to end."""


class Journal:
    """events.jsonl: what happened when, one JSON object a line. Also says it, if it is for people."""

    def __init__(self, path, say):
        self.file = open(path, "w")
        self.began = time.monotonic()
        self.events = []
        self._say = say

    def note(self, event, time_s=None, **details):
        at = (time_s or time.monotonic()) - self.began
        entry = {"time_s": round(at, 4), "wall": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": event,
                 **details}
        self.events.append(entry)
        self.file.write(json.dumps(entry) + "\n")
        self.file.flush()

    def has(self, event):
        return any(entry["event"] == event for entry in self.events)

    def say(self, text):
        self._say(f"[{time.monotonic() - self.began:7.2f} s] {text}")


class Run:
    def __init__(self, cluster, schedule, duration_s, seed, folder, say=print, clients=None):
        self.cluster, self.schedule, self.duration_s, self.seed = cluster, schedule, duration_s, seed
        self.folder = folder
        self.history_path = os.path.join(folder, "history.txt")
        self.clients = clients or {}
        self.stop = None  # The name of the signal that wants it to end.
        self.load = None
        self.watch = None
        self.active = []  # Faults that last.
        self.verdict = None
        self.problems = []
        for name in ("history.txt", "load.log"):
            if os.path.exists(os.path.join(folder, name)):
                os.remove(os.path.join(folder, name))
        self.journal = Journal(os.path.join(folder, "events.jsonl"), say)

    # --- From the outside ------------------------------------------------------------------------------------------
    def take_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: self._on_signal(number))

    def _on_signal(self, number):
        # Only noted: what is being done, healing above all, is done to its end.
        self.stop = signal.Signals(number).name

    def check_stop(self):
        if self.stop:
            raise Interrupted(self.stop)

    # --- The run ---------------------------------------------------------------------------------------------------
    def execute(self):
        """True when everything held."""
        try:
            try:
                self._begin()
            except AssertionError as error:
                raise RuntimeError(f"{error}; {self._last_words()}") from error
            self._faults()
            self._heal()
            self._end_load()
            self._converge()
            self._final_reads()
            self._judge()
        finally:
            try:
                self._heal()
            finally:
                self._clean_up()
        return not self.problems

    def _begin(self):
        cluster = self.cluster
        cluster.start()
        self.watch = LeaderWatch(cluster.log_paths(), self._on_leader)
        self._wait("every node is ready", READY_S, lambda: all(node_ready(cluster, name) for name in cluster.names()))
        self._wait("a leader has said so", READY_S, lambda: self.watch.leader()[0])
        self.journal.say(f"cluster: {cluster.describe()}")
        settings = {"seed": self.seed, **self.clients}
        with open(os.path.join(self.folder, "load.log"), "wb") as log:
            self.load = harness.spawn([LOAD, "run", self.history_path, *(f"{k}={v}" for k, v in settings.items())],
                                      stdin=subprocess.PIPE, stdout=log, stderr=log, env=self._client_environment(),
                                      start_new_session=True)
        self._wait("the first operations", READY_S,
                   lambda: os.path.exists(self.history_path) and os.path.getsize(self.history_path) > 1000)
        self.journal.note("begin", nodes=cluster.names(), mode=cluster.mode,
                          monotonic_s=round(self.journal.began, 6))  # Of time 0: the history has such times.

    def _last_words(self):
        lines = []
        for name, path in self.cluster.log_paths().items():
            if os.path.exists(path):
                with open(path, errors="replace") as file:
                    lines += [f"{name}: {line}" for line in file.read().splitlines()[-1:]]
        return "; ".join(lines)

    def _client_environment(self):
        servers = ",".join(self.cluster.host_address(name) for name in self.cluster.names())
        return harness.clean_environment(SANDSTORE_SERVERS=servers)

    def _faults(self):
        began = time.monotonic()
        order = itertools.count()
        due = [(fault.at_s, next(order), "begin", fault) for fault in self.schedule]
        due.append((self.duration_s, next(order), "over", None))
        heapq.heapify(due)
        while due:
            at, _, what, subject = heapq.heappop(due)
            while (left := began + at - time.monotonic()) > 0:
                self.check_stop()
                self._check_load()
                time.sleep(min(left, 0.1))
            self.check_stop()
            if what == "over":
                break
            if what == "begin":
                active = self._begin_fault(subject)
                if active:
                    heapq.heappush(due, (at + subject.for_s, next(order), "end", active))
                    if active.tick:
                        heapq.heappush(due, (at + active.tick_s, next(order), "tick", active))
            elif what == "tick":
                if subject in self.active:
                    subject.tick()
                    heapq.heappush(due, (max(at + subject.tick_s, time.monotonic() - began), next(order), "tick",
                                         subject))
            elif what == "end":
                self._end_fault(subject)
                heapq.heappush(due, (at + SAY_AFTER_S, next(order), "say", subject))
            else:
                self._say(subject)
        self.journal.note("over")

    def _begin_fault(self, fault):
        leader, term = self.watch.leader()
        began = time.monotonic()
        try:
            active = fault_steps.begin(fault, self.cluster, leader, self.active)
        except (fault_steps.Skipped, OSError) as reason:
            self.journal.note("skipped", began, number=fault.number, kind=fault.kind, why=str(reason))
            self.journal.say(f"#{fault.number} {fault.kind}: left out: {reason}")
            return None
        active.began = began
        self.active.append(active)
        in_force = time.monotonic() - self.journal.began
        hits_leader = leader in active.nodes
        self.journal.note("fault", began, number=fault.number, kind=fault.kind, nodes=active.nodes,
                          settings=dict(fault.settings), in_force_s=round(in_force, 4), leader=leader,
                          term=term, hits_leader=hits_leader)
        active.text = " ".join([f"#{fault.number} {fault.kind}", ",".join(active.nodes) or fault.target,
                                *(["(leader)"] if hits_leader and len(active.nodes) == 1 else []),
                                *(f"{name}={value}" for name, value in fault.settings)])
        return active

    def _end_fault(self, active):
        self.active.remove(active)
        try:
            active.end()
        except OSError as error:
            # Healing at the end tries again, and says so when it cannot.
            self.journal.note("not_undone", number=active.fault.number, why=str(error))
        now = time.monotonic()
        self.journal.note("fault_over", now, number=active.fault.number)
        active.ended = now

    def _say(self, active):
        since = [entry for entry in self.watch.leaders if active.began <= entry[0] <= active.ended + SAY_AFTER_S]
        said = (f"{since[0][1]} leads after {since[0][0] - active.began:.2f} s" if since else "no election")
        self.journal.say(f"{active.text}, {active.ended - active.began:.1f} s: {said}")

    def _on_leader(self, time_s, node, term):
        self.journal.note("leader", time_s, node=node, term=term)

    # --- The end ---------------------------------------------------------------------------------------------------
    def _heal(self):
        while self.active:
            self._end_fault(self.active[-1])
        for problem in self.cluster.heal():
            self.problems.append(f"could not be healed: {problem}")
        left = self.cluster.unhealed() if self.journal.has("begin") else []
        self.problems += [f"not healed: {sentence}" for sentence in left]
        self.journal.note("healed", left=left)

    def _check_load(self):
        if self.load.poll() is not None:
            raise RuntimeError(f"the load ended by itself, see {self.folder}/load.log")

    def _end_load(self):
        self._check_load()
        self.load.stdin.close()
        self._wait("every client ends the operation it is at", LOAD_END_S, lambda: self.load.poll() is not None)
        if self.load.returncode != 0:
            self.problems.append(f"the load failed, see {self.folder}/load.log")
        self.journal.note("load_over")

    def _converge(self):
        began = time.monotonic()
        state = {}

        def equal():
            done = self._run([harness.SANDSTORE, "status", "--json", "--state-hash"], 20)
            if done.returncode != 0:
                return False
            nodes = json.loads(done.stdout)["nodes"]
            state["seen"] = [(node["id"], node.get("state_hash_index"), node.get("state_hash")) for node in nodes]
            if not all(node["up"] and "state_hash" in node for node in nodes):
                return False
            if len(nodes) != len(self.cluster.names()) or len({node["state_hash_index"] for node in nodes}) > 1:
                return False
            state["equal"] = len({node["state_hash"] for node in nodes}) == 1
            return True
        try:
            self._wait("every node has applied the same", CONVERGENCE_S, equal)
        except AssertionError as error:
            self.problems.append(f"the nodes do not converge: {error}; {state.get('seen')}")
            return
        if not state["equal"]:
            self.problems.append(f"the replicas differ at one index: {state['seen']}")
        self.journal.note("converged", seconds=round(time.monotonic() - began, 3), states=state["seen"])
        self.journal.say(f"converged: {len(state['seen'])} replicas, "
                         f"{'one state' if state['equal'] else 'DIFFERENT STATES'} at index {state['seen'][0][1]}")

    def _final_reads(self):
        done = self._run([LOAD, "final", self.history_path, "timeout_ms=15000"], FINAL_READS_S)
        if done.returncode != 0:
            self.problems.append(f"not everything could be read at the end: {done.stderr.decode().strip()}")
        self.journal.note("final_reads")

    def _judge(self):
        done = self._run([CHECK, self.history_path], CHECK_S)
        if done.returncode not in (0, 1):
            raise RuntimeError(done.stderr.decode().strip())
        self.verdict = json.loads(done.stdout)
        self.problems += self.verdict["problems"]
        self.journal.note("judged", **{k: v for k, v in self.verdict.items() if k != "problems"})

    def _clean_up(self):
        if self.load and self.load.poll() is None:
            self.load.kill()
            self.load.wait()
        if self.watch:
            self.watch.close()
        folder = os.path.join(self.folder, "logs")
        os.makedirs(folder, exist_ok=True)
        for name, path in self.cluster.log_paths().items():
            if os.path.exists(path):
                shutil.copyfile(path, os.path.join(folder, f"{name}.log"))
        self.journal.file.close()

    # --- Helpers ---------------------------------------------------------------------------------------------------
    def _wait(self, what, seconds, happened):
        def ask():
            self.check_stop()
            return happened()
        return harness.wait_until(what, ask, seconds)

    def _run(self, command, seconds):
        """A program against the cluster, to its end; a signal to us ends it."""
        child = harness.spawn(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                              env=self._client_environment())
        deadline = time.monotonic() + seconds
        try:
            while True:
                try:
                    out, err = child.communicate(timeout=0.2)
                    return subprocess.CompletedProcess(command, child.returncode, out, err)
                except subprocess.TimeoutExpired:
                    self.check_stop()
                    if time.monotonic() > deadline:
                        raise AssertionError(f"{os.path.basename(command[0])} takes more than {seconds} s") from None
        finally:
            if child.poll() is None:
                child.kill()
                child.communicate()


def node_ready(cluster, name):
    return harness.http_get(f"http://{cluster.http_address(name)}/readyz")[0] == 200
