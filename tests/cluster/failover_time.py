#!/usr/bin/env python3
"""Measures failover: from `kill -9` of the leader to the next acknowledged write, as a program sees it that started to
write at that moment. Prints each round and the median.

    SANDSTORE_BINARY_DIR=build/release python3 tests/cluster/failover_time.py [rounds]
"""
import statistics
import sys
import time

from harness import Cluster


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    cluster = Cluster()
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
            took.append(time.monotonic() - began)
            print(f"round {number + 1}: {leader.node_id} killed, next write after {took[-1] * 1000:.0f} ms")
            leader.kill()
            leader.start()
            cluster.await_caught_up()
    finally:
        cluster.close()
    print(f"median of {rounds}: {statistics.median(took) * 1000:.0f} ms, longest {max(took) * 1000:.0f} ms")


if __name__ == "__main__":
    main()
