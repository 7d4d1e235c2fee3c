"""What was acknowledged is there, once, whatever is killed. A load runs in sessions of its own (load.py) and writes
down what it was told; afterwards everything is read back and compared, and the replicas compare their states."""
import os
import random
import time

import harness
from harness import ClusterTest, wait_until
from load import Load

SEED = int(os.environ.get("SANDSTORE_TEST_SEED", "1"))
CRASH_ROUNDS = int(os.environ.get("SANDSTORE_TEST_CRASH_ROUNDS", "25"))


class Durability(ClusterTest):
    def loaded_cluster(self):
        cluster = self.cluster().start()
        cluster.await_leader()
        load = Load(cluster)
        self.addCleanup(load.kill)
        load.start()
        load.await_acknowledged(200)
        return cluster, load

    def check(self, cluster, load):
        """The cluster is whole again; now every acknowledged operation must be found, and found once."""
        cluster.await_leader()
        load.await_acknowledged(load.acknowledged() + 100)
        load.finish()
        cluster.await_caught_up()
        problems = load.problems()
        self.assertEqual(problems, [], f"{len(problems)} of {load.acknowledged()} acknowledged operations")
        cluster.await_equal_state()

    def test_leader_killed_under_load(self):
        cluster, load = self.loaded_cluster()
        for _ in range(3):
            leader = cluster.await_leader()
            leader.kill()
            cluster.await_leader(besides=leader.node_id)
            load.await_acknowledged(load.acknowledged() + 100)
            leader.start()
            cluster.await_caught_up()
        self.check(cluster, load)

    def test_all_killed_at_once_under_load(self):
        cluster, load = self.loaded_cluster()
        for _ in range(3):
            for node in cluster.nodes:
                node.child.kill()
            for node in cluster.nodes:
                node.wait()
            cluster.start()
            cluster.await_leader()
            load.await_acknowledged(load.acknowledged() + 100)
        self.check(cluster, load)

    def test_a_node_that_was_away_catches_up(self):
        cluster, load = self.loaded_cluster()
        leader = cluster.await_leader()
        away = next(node for node in cluster.nodes if node is not leader)
        away.kill()
        load.await_acknowledged(load.acknowledged() + 2000)
        away.start()
        cluster.await_caught_up()
        self.check(cluster, load)

    def test_killed_at_any_moment_a_node_starts_again(self):
        """Any nodes, at random moments of boot and of work, many times: none may leave a directory that it refuses."""
        cluster, load = self.loaded_cluster()
        chance = random.Random(SEED)
        for round_number in range(CRASH_ROUNDS):
            victims = chance.sample(cluster.nodes, chance.choice([1, 1, 2, 3]))
            for node in victims:
                node.kill()
            for node in victims:
                node.start()
            until = time.monotonic() + chance.choice([0.0, 0.02, 0.1, 0.3, 1.0]) * chance.random()
            while time.monotonic() < until:
                for node in cluster.nodes:
                    self.assertTrue(node.running(), f"seed {SEED}, round {round_number}: {node.name} ended by itself")
        for node in cluster.nodes:
            wait_until(f"{node.name} is ready", node.ready)
        cluster.await_leader()
        for node in cluster.nodes:
            self.assertTrue(node.running(), f"seed {SEED}: {node.name} ended by itself")
        self.check(cluster, load)


if __name__ == "__main__":
    harness.main()
