#!/usr/bin/env python3
"""Measures failover: from `kill -9` of the leader to the next acknowledged write, as a program sees it that started to
write at that moment (its own start is in it). Prints each round and one line for all: median, 90th percentile and
longest, in milliseconds and in election timeouts.

    SANDSTORE_BINARY_DIR=build/release python3 tests/cluster/failover_time.py [rounds] [--flag=value of the nodes ...]
"""
import statistics
import sys
import time

from harness import Cluster

ELECTION_TIMEOUT_MS = 300  # The default.


def main():
    rounds = int(next((word for word in sys.argv[1:] if not word.startswith("--")), 50))
    flags = dict(word[2:].split("=", 1) for word in sys.argv[1:] if word.startswith("--"))
    timeout_ms = float(flags.get("election-timeout", ELECTION_TIMEOUT_MS))
    cluster = Cluster(**flags)
    took = []
    try:
        began = time.monotonic()
        cluster.start()
        cluster.await_leader()
        print(f"three processes started to a leader that all agree on: {time.monotonic() - began:.2f} s")
        for number in range(rounds):
            leader = cluster.await_leader()
            began = time.monotonic()
            leader.child.kill()
            cluster.fs("mkdir", f"/round-{number}")
            took.append((time.monotonic() - began) * 1000)
            print(f"round {number + 1}: {leader.node_id} killed, next write after {took[-1]:.0f} ms", flush=True)
            leader.kill()
            leader.start()
            cluster.await_caught_up()
    finally:
        cluster.close()
    took.sort()
    figures = {"median": statistics.median(took), "p90": took[max(0, -(-len(took) * 9 // 10) - 1)], "max": took[-1]}
    print(f"{rounds} kills, election timeout {timeout_ms:.0f} ms: " + ", ".join(
        f"{name} {value:.0f} ms = {value / timeout_ms:.2f} timeouts" for name, value in figures.items()))


if __name__ == "__main__":
    main()
