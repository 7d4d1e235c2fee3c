"""Bytes that make no sense, on both ports of a node: it answers or closes, says so, and serves others on."""
import os
import random
import select
import socket
import struct
import time

import harness
from harness import ClusterTest, wait_until

SEED = int(os.environ.get("SANDSTORE_TEST_SEED", "1"))
HEADER_BYTES = 24


def crc32c_table():
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


TABLE = list(crc32c_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def frame(body, payload=b"", magic=b"SAND", version=1, body_length=None, payload_length=None, crc_xor=0):
    """docs/formats.md, "Frame"."""
    head = magic + struct.pack("<BBHII", version, 0, 0, len(body) if body_length is None else body_length,
                               len(payload) if payload_length is None else payload_length)
    crc = crc32c(head + body) ^ crc_xor
    return head + struct.pack("<II", crc, crc32c(payload)) + body + payload


def varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, content):
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def hello(protocol_version=1, kind=0, node_id=b"", cluster_id=b""):
    return field(150, field(1, protocol_version) + field(2, kind) + field(3, cluster_id) + field(4, node_id))


class Fuzz(ClusterTest):
    def setUp(self):
        self.served = self.cluster().start()
        self.served.await_leader()
        self.served.put("/kept", b"kept")
        self.target = self.served.await_leader()
        self.chance = random.Random(SEED)
        self.open = []
        self.addCleanup(lambda: [connection.close() for connection in self.open])

    def connect(self, port):
        connection = socket.create_connection(("127.0.0.1", port), timeout=harness.PATIENCE_S)
        self.open.append(connection)
        return connection

    def say(self, port, data):
        """Sends, and reads until the node closes or answers; gives what it answered."""
        connection = self.connect(port)
        answer = b""
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                answer += piece
        except TimeoutError:
            self.fail("the node neither answers nor closes")
        except OSError:
            pass  # It closed before it had heard everything.
        connection.close()
        return answer

    def still_serves(self):
        self.assertTrue(self.target.running(), "the node ended")
        self.assertEqual(self.served.cat("/kept"), b"kept")
        name = f"/written-{self.chance.random()}"
        self.served.put(name, b"after it")
        self.assertEqual(self.served.cat(name), b"after it")
        self.assertEqual(self.target.get("/livez")[0], 200)
        self.assertEqual(self.served.await_leader(), self.target, "it even cost the leader its office")

    def noise(self, most=4096):
        return self.chance.randbytes(self.chance.randrange(1, most))

    def frames(self):
        """Frames that are wrong in one way each."""
        yield "no magic", frame(hello(), magic=b"DNAS")
        yield "unknown version", frame(hello(), version=9)
        yield "wrong checksum", frame(hello(), crc_xor=1)
        yield "oversized body", frame(b"", body_length=0xFFFFFFFF)
        yield "oversized payload", frame(hello(), payload_length=0xFFFFFFFF)
        yield "large body that never comes", frame(b"", body_length=4 << 20)
        yield "body that is no protobuf", frame(b"\xff" * 100)
        yield "nothing said hello", frame(field(71 + 1, b""))
        yield "unknown protocol version", frame(hello(protocol_version=99))
        yield "unknown kind", frame(hello(kind=77))
        yield "peer of another cluster", frame(hello(kind=1, node_id=b"node-2", cluster_id=b"elsewhere"))
        yield "peer that is no member", frame(hello(kind=2, node_id=b"node-9"))
        yield "hello twice", frame(hello()) * 2
        yield "hello with bytes where text belongs", frame(hello(node_id=b"\xff\xfe\x00"))
        yield "empty frame", frame(b"")
        good = frame(hello())
        for cut in (1, 3, 4, 12, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 1, len(good) - 1):
            yield f"cut after {cut} bytes", good[:cut]
        for number in range(0, 160):
            # After a good hello: every body number, empty, to every kind of actor; most mean nothing from a client.
            to_actor = self.chance.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20, 30, 55, 100, 101, 102, 103, 4000])
            body = field(6, to_actor) + field(7, number + 1) + field(9, 1000) + (field(number, b"") if number else b"")
            yield f"body {number} to actor {to_actor}", good + frame(body)
        for number in range(100):
            bent = bytearray(good + frame(field(6, 5) + field(7, 1) + field(72, self.noise(64))))
            bent[self.chance.randrange(len(bent))] ^= 1 << self.chance.randrange(8)
            yield f"bit flip {number}", bytes(bent)
        for number in range(50):
            yield f"noise {number}", self.noise()
        for number in range(50):
            yield f"noise after hello {number}", good + self.noise()
        for number in range(50):
            yield f"noise in a good frame {number}", good + frame(self.noise(256), self.noise(256))

    def test_node_port(self):
        for what, data in self.frames():
            with self.subTest(what):
                self.say(self.target.port, data)
                self.assertTrue(self.target.running(), f"{what}: the node ended")
        self.still_serves()

    def test_node_port_connections_that_say_nothing(self):
        """Many that stay open, silent or in the middle of a frame, do not keep others out."""
        for number in range(200):
            connection = self.connect(self.target.port)
            connection.sendall(frame(hello())[:number % 30])
        self.still_serves()

    def test_a_client_that_never_reads(self):
        """It asks and asks; the node must not keep answers without bound, nor stop serving."""
        connection = self.connect(self.target.port)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        asking = frame(hello())
        # A status request to StatusService; its answer is far larger than the question.
        for number in range(20000):
            asking += frame(field(6, 9) + field(7, number + 1) + field(9, 5_000_000) + field(127, field(1, 1)))
        sent, deadline = 0, time.monotonic() + 5
        while sent < len(asking) and time.monotonic() < deadline:
            try:
                sent += connection.send(asking[sent:sent + 65536])
            except BlockingIOError:
                select.select([], [connection], [], max(0, deadline - time.monotonic()))  # Until it takes more.
            except ConnectionError:
                break
        self.still_serves()
        with open(f"/proc/{self.target.child.pid}/status") as file:
            resident_kib = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
        self.assertLess(resident_kib, 512 * 1024)

    def test_http_port(self):
        port = self.target.http_port
        requests = [
            b"GET", b"GET /\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00",
            b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
            b"GET /status HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"y" * 100) for i in range(5000)) + b"\r\n",
            b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"GET /status%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
            b"POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            b"POST /status HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n",
            b"DELETE /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n", frame(hello()),
            *(self.noise() for _ in range(100)),
            *(b"GET /status HTTP/1.1\r\n" + self.noise() for _ in range(50)),
        ]
        for number, request in enumerate(requests):
            with self.subTest(number=number, request=request[:60]):
                self.say(port, request)
                self.assertTrue(self.target.running(), "the node ended")
        self.assertEqual(self.target.get("/no/such/page")[0], 404)
        self.still_serves()

    def test_http_connections_that_say_nothing(self):
        for _ in range(200):
            self.connect(self.target.http_port).sendall(b"GET /status HTTP/1.1\r\n")
        self.still_serves()

    def test_bad_connections_are_logged_and_counted(self):
        for _ in range(20):
            self.say(self.target.port, frame(hello(), crc_xor=1))
        metrics = wait_until("the metric counts them", lambda: [
            line for line in self.target.get("/metrics")[1].decode().splitlines()
            if "checksum" in line and not line.startswith("#") and float(line.rsplit(" ", 1)[1]) >= 20])
        self.assertTrue(metrics)
        logged = harness.lines_with(self.target.log(), "(?i)checksum")
        self.assertTrue(logged)
        self.assertLessEqual(len(logged), 20, "at most one line for each")


if __name__ == "__main__":
    harness.main()
