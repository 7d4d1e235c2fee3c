"""Volumes on real disks: many small files share a few, room comes back when most are removed, whatever stands in them
survives kills, and files of single chunks from before there were volumes are moved into them."""
import glob
import os
import struct

import harness
import volumes
from harness import ClusterTest, wait_until

FILES = 1200
FILE_BYTES = 30_000
CASTAGNOLI = 0x82F63B78


def crc32c(data):
    table = [0] * 256
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (CASTAGNOLI if value & 1 else 0)
        table[byte] = value
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def mix64(value):
    mask = (1 << 64) - 1
    value = value + 0x9E3779B97F4A7C15 & mask
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & mask
    value = (value ^ value >> 27) * 0x94D049BB133111EB & mask
    return value ^ value >> 31


def bytes_on_disk(node):
    """What the volumes take; holes take nothing."""
    total = 0
    for path in glob.glob(f"{node.data_dir}/chunks/*.volume"):
        try:
            total += os.stat(path).st_blocks * 512
        except FileNotFoundError:  # It has been rewritten.
            pass
    return total


class Volumes(ClusterTest):
    def put_many(self, cluster):
        folder = os.path.join(cluster.folder, "many")
        os.mkdir(folder)
        self.contents = {f"f{i}": os.urandom(FILE_BYTES) for i in range(FILES)}
        for name, content in self.contents.items():
            with open(f"{folder}/{name}", "wb") as file:
                file.write(content)
        cluster.fs("mkdir", "/many")
        cluster.fs("put", *(f"{folder}/{name}" for name in self.contents), "/many/")

    def assertFiles(self, cluster, names):
        folder = os.path.join(cluster.folder, "back")
        os.mkdir(folder)
        cluster.fs("get", *(f"/many/{name}" for name in names), folder)
        for name in names:
            with open(f"{folder}/{name}", "rb") as file:
                self.assertEqual(file.read(), self.contents[name], name)
            os.remove(f"{folder}/{name}")
        os.rmdir(folder)

    def test_room_of_small_files_comes_back_and_the_rest_stays_whatever_is_killed(self):
        cluster = self.cluster(**{"volume-size": "16MiB"}).start()
        cluster.await_leader()
        self.put_many(cluster)
        wait_until("all nodes have all", lambda: all(
            len(volumes.chunks(node.data_dir)) == FILES for node in cluster.nodes))
        before = {node.node_id: bytes_on_disk(node) for node in cluster.nodes}
        for node in cluster.nodes:
            self.assertLess(before[node.node_id], 1.3 * FILES * FILE_BYTES)
            self.assertLessEqual(len(glob.glob(f"{node.data_dir}/chunks/*.volume")), 4)
        kept = [name for i, name in enumerate(self.contents) if i % 10 == 0]
        gone = [f"/many/{name}" for i, name in enumerate(self.contents) if i % 10 != 0]
        cluster.fs("rm", *gone)
        for node in cluster.nodes:
            wait_until("the room is there again", lambda: bytes_on_disk(node) < 0.4 * before[node.node_id],
                       seconds=3 * harness.PATIENCE_S)
        self.assertFiles(cluster, kept)
        for node in cluster.nodes:
            node.kill()
        cluster.start()
        cluster.await_leader()
        self.assertFiles(cluster, kept)

    def test_chunks_with_files_of_their_own_are_moved_into_volumes(self):
        cluster = self.cluster().start()
        cluster.await_leader()
        content = os.urandom(150_000)
        cluster.put("/f", content)
        node = cluster.nodes[0]
        wait_until("it has its copy", lambda: volumes.chunks(node.data_dir))
        node.terminate()
        [(term, number)] = volumes.chunks(node.data_dir)
        for path in glob.glob(f"{node.data_dir}/chunks/0*"):
            os.remove(path)
        self.put_old_file(node, term, number, content)
        node.start()
        wait_until("it is moved", lambda: not glob.glob(f"{node.data_dir}/chunks/*/*.chunk"))
        self.assertEqual(list(volumes.chunks(node.data_dir)), [(term, number)])
        self.assertEqual(cluster.cat("/f"), content)

    @staticmethod
    def put_old_file(node, term, number, content):
        """As it was stored before there were volumes."""
        blocks = [content[at:at + 65536] for at in range(0, len(content), 65536)]
        table = b"".join(struct.pack("<I", crc32c(block)) for block in blocks)
        name = node.node_id.encode()
        head = b"SANDCHNK" + struct.pack("<II4Q2I", 1, 65536, term, number, len(content), 1_600_000_000_000_000, 1, 512)
        head += bytes([len(name)]) + name
        head += bytes(508 - len(head))
        head += struct.pack("<I", crc32c(head))
        folder = f"{node.data_dir}/chunks/{mix64(mix64(term) ^ number) % 256:02x}"
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/{term:x}-{number:x}.chunk", "wb") as file:
            file.write(head + table + struct.pack("<I", crc32c(table)) + content)


if __name__ == "__main__":
    harness.main()
