"""Nodes that run out of something: descriptors, memory, slots. A request may fail, nothing is damaged by it, and
afterwards all is as before."""
import os
import resource
import select
import socket
import threading
import time

import harness
import volumes
from harness import ClusterTest, wait_until
from fuzz_test import field, frame, hello

DESCRIPTORS = 96
FILES = 80
HALF_FRAMES = 100
FRAME_BYTES = 16 << 20
MIB = 1 << 20
OBSERVED_S = 10


def metric(node, name):
    lines = node.get("/metrics")[1].decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)


def resident_bytes(node):
    with open(f"/proc/{node.child.pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))


class Limits(ClusterTest):
    def setUp(self):
        self.open = []
        self.addCleanup(self.close_all)

    def close_all(self):
        for connection in self.open:
            connection.close()
        self.open.clear()

    def connect(self, port):
        connection = socket.create_connection(("127.0.0.1", port), timeout=harness.PATIENCE_S)
        self.open.append(connection)
        return connection

    def test_few_descriptors_and_strangers_who_take_the_rest(self):
        cluster = self.cluster().start()
        cluster.await_leader()
        contents = {f"/f{number}": os.urandom(30_000) for number in range(FILES)}
        for path, content in contents.items():
            cluster.put(path, content)
        wrapper = os.path.join(cluster.folder, "few-descriptors")
        with open(wrapper, "w") as file:
            file.write(f'#!/bin/sh\nulimit -n {DESCRIPTORS}\nexec "{harness.SANDSTORE}" "$@"\n')
        os.chmod(wrapper, 0o755)
        for node in cluster.nodes:
            node.kill()
            node.binary = wrapper
        cluster.start()
        cluster.await_leader()
        for node in cluster.nodes:
            for _ in range(DESCRIPTORS):
                stranger = socket.socket()
                self.open.append(stranger)
                stranger.setblocking(False)
                stranger.connect_ex(("127.0.0.1", node.http_port))
        # All at once; who is refused meanwhile is of no interest here.
        readers = [threading.Thread(target=cluster.sandstore, args=("fs", "cat", "--timeout=2s", path))
                   for path in contents]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        self.close_all()
        for path, content in contents.items():
            wait_until(f"{path} is read", lambda: cluster.sandstore("fs", "cat", path).stdout == content)
        for node in cluster.nodes:
            self.assertEqual(metric(node, "sandstore_chunk_corrupt_total"), 0)
            self.assertEqual(metric(node, "sandstore_chunk_corrupt"), 0)

    def test_three_copies_damaged_in_different_blocks_are_read_and_repair_each_other(self):
        cluster = self.cluster().start()
        cluster.await_leader()
        content = os.urandom(8 * MIB)
        cluster.put("/f", content)
        for node in cluster.nodes:
            wait_until("all have it", lambda: volumes.chunks(node.data_dir))
            # Cleanly, so that its index knows the chunk: damage of what it does not know looks like a torn write.
            node.terminate()
        for number, node in enumerate(cluster.nodes):
            [chunk] = volumes.chunks(node.data_dir).values()
            with open(chunk.path, "r+b") as file:
                for block in (number, 50 + number, 126 - number):
                    file.seek(chunk.data + block * volumes.BLOCK_BYTES + 99)
                    byte = file.read(1)
                    file.seek(-1, os.SEEK_CUR)
                    file.write(bytes([byte[0] ^ 4]))
        cluster.start()
        cluster.await_leader()
        self.assertEqual(cluster.cat("/f"), content)

        def repaired():
            return all(metric(node, "sandstore_store_objects") == 1 and metric(node, "sandstore_chunk_corrupt") == 0
                       for node in cluster.nodes)
        # Each finds its damage when it is read, and one is chosen by chance.
        wait_until("all were read", lambda: cluster.cat("/f") == content and all(
            metric(node, "sandstore_chunk_corrupt_total") for node in cluster.nodes))
        wait_until("the copies are repaired", repaired, seconds=3 * harness.PATIENCE_S)
        self.assertEqual(cluster.cat("/f"), content)

    def test_half_sent_frames_cost_little(self):
        cluster = self.cluster().start()
        target = cluster.await_leader()
        cluster.put("/kept", b"kept")
        before = resident_bytes(target)
        head = frame(hello()) + frame(field(6, 6) + field(7, 1), payload_length=FRAME_BYTES)
        piece = bytes(64 << 10)
        sent = {}
        for _ in range(HALF_FRAMES):
            connection = self.connect(target.port)
            connection.sendall(head)
            connection.setblocking(False)
            sent[connection] = 0
        # Half of each, or as much as the node takes of it in this time.
        until = time.monotonic() + OBSERVED_S
        while sent and time.monotonic() < until:
            _, writable, _ = select.select([], list(sent), [], 0.2)
            for connection in writable:
                try:
                    sent[connection] += connection.send(piece)
                    if sent[connection] >= FRAME_BYTES // 2:
                        del sent[connection]  # It stops here, and stays open.
                except ConnectionError:
                    del sent[connection]  # Given up.
            # A sanitizer keeps up to 256 MiB of what was given back.
            self.assertLess(resident_bytes(target) - before, (320 if harness.SANITIZED else 64) * MIB)
        self.assertEqual(target.get("/livez")[0], 200)
        self.assertEqual(cluster.sandstore("status").returncode, 0, "operators come through")
        self.close_all()
        cluster.put("/after", bytes(8 * MIB))
        self.assertEqual(cluster.cat("/kept"), b"kept")

    def test_idle_clients_make_room_and_operators_find_some(self):
        cluster = self.cluster().start()
        target = cluster.await_leader()
        cluster.put("/kept", b"kept")
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        for _ in range(1100):
            self.connect(target.port).sendall(frame(hello()))
        self.assertEqual(cluster.cat("/kept"), b"kept")
        self.assertEqual(cluster.sandstore("status").returncode, 0)
        self.assertGreater(metric(target, "sandstore_net_refused_total"), 0)
        self.assertEqual(cluster.await_leader(), target, "peers keep their connections")


if __name__ == "__main__":
    harness.main()
