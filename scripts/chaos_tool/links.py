"""The network between local nodes: other nodes and clients reach a node through a port of this proxy.
The first frame of a connection says who calls (docs/formats.md), so each ordered pair of nodes has a link of its own
here, which can be cut or made slow. What goes from a to b is governed by the link a -> b in whichever connection it
travels, answers to a greeting included. Clients and a node's question to itself pass freely.

A cut loses nothing, as TCP would not: bytes wait, and arrive late when the link is there again, unless one side has
given up the connection meanwhile. The proxy runs in a thread of its own."""
import asyncio
import collections
import random
import socket
import struct
import threading

HEADER = struct.Struct("<4sBBHIIII")
BODY_BYTES_MAX = 4 << 20
HELLO_FIELD, KIND_FIELD, NODE_ID_FIELD = 150, 2, 4
PEER_KINDS = (1, 2)           # PEER_CONTROL, PEER_BULK
WAITING_BYTES_MAX = 4 << 20   # Of one direction; then its sender has to wait.


def fields(data):
    """The fields of a protobuf message: {number: last value}, for the two wire types that a greeting has."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            found[tag >> 3] = varint()
        elif tag & 7 == 2:
            length = varint()
            found[tag >> 3] = data[at:at + length]
            at += length
        elif tag & 7 in (1, 5):
            at += 8 if tag & 7 == 1 else 4
        else:
            raise ValueError("not a protobuf message")
    return found


def caller_of(body):
    """The id of the node whose greeting this is; None for a client or a probe."""
    hello = fields(fields(body)[HELLO_FIELD])
    return hello[NODE_ID_FIELD].decode() if hello.get(KIND_FIELD, 0) in PEER_KINDS else None


class Link:
    def __init__(self):
        self.cuts = 0  # By how many faults.
        self.open = asyncio.Event()
        self.open.set()
        self.delay_s = self.jitter_s = 0.0

    def set_cuts(self, cuts):
        self.cuts = max(cuts, 0)
        (self.open.clear if self.cuts else self.open.set)()

    def draw_delay(self):
        return self.delay_s + random.uniform(-self.jitter_s, self.jitter_s) if self.delay_s else 0.0


class Links:
    """links = Links({"node-1": (port of the proxy, port of the node), ...})"""

    def __init__(self, ports):
        self._ports = ports
        self._loop = asyncio.new_event_loop()
        self._links = {(a, b): Link() for a in ports for b in ports if a != b}
        self._started = threading.Event()
        self._problem = None
        self._writers = set()
        self._thread = threading.Thread(target=self._run, name="links", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._problem:
            raise self._problem

    # --- From any thread -------------------------------------------------------------------------------------------
    def cut(self, source, target):
        self._call(lambda: self._links[source, target].set_cuts(self._links[source, target].cuts + 1))

    def mend(self, source, target):
        """Takes one cut back; another fault's stays."""
        self._call(lambda: self._links[source, target].set_cuts(self._links[source, target].cuts - 1))

    def slow(self, source, target, delay_s, jitter_s):
        def change():
            link = self._links[source, target]
            link.delay_s, link.jitter_s = delay_s, jitter_s
        self._call(change)

    def heal(self):
        for source, target in self._links:
            self._call(lambda: self._links[source, target].set_cuts(0))
            self.slow(source, target, 0.0, 0.0)

    def state(self):
        """What is not as it should be: [(source, target, "cut" or its delay), ...]"""
        return [(*pair, "cut" if not link.open.is_set() else link.delay_s)
                for pair, link in self._links.items() if link.delay_s or not link.open.is_set()]

    def close(self):
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _call(self, change):
        """Does it in the loop, and waits until it is done."""
        done = threading.Event()

        def call():
            change()
            done.set()
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(call)
            done.wait(10)

    # --- In the loop -----------------------------------------------------------------------------------------------
    def _run(self):
        asyncio.set_event_loop(self._loop)
        servers = []
        try:
            for node, (port, behind) in self._ports.items():
                servers.append(self._loop.run_until_complete(asyncio.start_server(
                    lambda reader, writer, node=node, behind=behind: self._serve(node, behind, reader, writer),
                    "127.0.0.1", port, limit=WAITING_BYTES_MAX)))
        except OSError as problem:
            self._problem = problem
        self._started.set()
        if not self._problem:
            self._loop.run_forever()
        self._loop.run_until_complete(self._end(servers))
        self._loop.close()

    async def _end(self, servers):
        for server in servers:
            server.close()
        for writer in self._writers:
            writer.transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # Aborted transports close their sockets in the next turn.

    async def _serve(self, node, behind, reader, writer):
        backend = None
        self._writers.add(writer)
        try:
            head = await reader.readexactly(HEADER.size)
            magic, _, _, _, length, payload, _, _ = HEADER.unpack(head)
            if magic != b"SAND" or length > BODY_BYTES_MAX or payload:
                return
            body = await reader.readexactly(length)
            caller = caller_of(body)
            there, back = self._links.get((caller, node)), self._links.get((node, caller))
            if there:
                await there.open.wait()
            answers, backend = await asyncio.open_connection("127.0.0.1", behind, limit=WAITING_BYTES_MAX)
            self._writers.add(backend)
            for one in (writer, backend):
                one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._first_to_end(self._carry(reader, backend, there, head + body),
                                     self._carry(answers, writer, back, b""))
        except (OSError, EOFError, KeyError, ValueError, IndexError, asyncio.CancelledError):
            pass  # A connection that breaks, or is ended by close(), is closed on both sides.
        finally:
            for one in (writer, backend):
                if one:
                    one.close()
                    self._writers.discard(one)

    async def _first_to_end(self, *directions):
        tasks = [self._loop.create_task(direction) for direction in directions]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(self, reader, writer, link, first):
        """One direction. What has been read leaves in order, when it is due and the link is there."""
        waiting = collections.deque()
        changed = asyncio.Event()
        now = self._loop.time
        state = {"bytes": 0, "due": 0.0}

        def put(data):
            state["due"] = max(state["due"], now() + (link.draw_delay() if link else 0.0))
            waiting.append((state["due"], data))
            state["bytes"] += len(data)
            changed.set()

        async def read():
            if first:
                put(first)
            data = b"first"
            while data:
                try:
                    data = await reader.read(1 << 16)
                except OSError:
                    data = b""
                put(data)
                while state["bytes"] > WAITING_BYTES_MAX:
                    await asyncio.sleep(0.01)

        reading = self._loop.create_task(read())
        try:
            while True:
                while not waiting:
                    changed.clear()
                    await changed.wait()
                due, data = waiting[0]
                if due > now():
                    await asyncio.sleep(due - now())
                if link:
                    await link.open.wait()
                waiting.popleft()
                state["bytes"] -= len(data)
                if not data:
                    return
                writer.write(data)
                await writer.drain()
        finally:
            reading.cancel()
