#!/usr/bin/env python3
"""Three nodes and the smoke check, of programs for another architecture: SANDSTORE_BINARY_DIR holds the commands that
run them (scripts/image check-arm64). An emulated processor is slow, so the nodes are given time."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cluster"))
os.environ.setdefault("SANDSTORE_TEST_PATIENCE_S", "120")
import harness  # noqa: E402  It reads the environment when it is imported.


def main():
    print(harness.run([harness.SANDSTORE, "--version"]).stdout.decode().strip(), flush=True)
    cluster = harness.Cluster(**{"election-timeout": "2000", "heartbeat-interval": "200"})
    passed = False
    try:
        cluster.start()
        leader = cluster.await_leader()
        print(f"leader: {leader.node_id} of {len(cluster.nodes)} nodes", flush=True)
        done = harness.run([harness.SMOKE], env=harness.clean_environment(SANDSTORE_SERVERS=cluster.servers()),
                           timeout=300)
        print(done.stdout.decode() + done.stderr.decode(), end="", flush=True)
        passed = done.returncode == 0 and done.stdout.decode().rstrip("\n").endswith("SMOKE OK")
        for node in cluster.nodes:
            status, took = node.terminate(30)
            print(f"{node.node_id}: SIGTERM, exit status {status} after {took:.1f} s", flush=True)
            passed = passed and status == 0
    finally:
        if not passed:
            for node in cluster.nodes:
                print(f"--- {node.name}, the end of its log", *node.log().splitlines()[-20:], sep="\n")
        cluster.close()
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
