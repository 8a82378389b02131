#!/usr/bin/env python3
"""A seeded network that breaks: relays streams byte by byte, and harms them when it is told to.

usage: proxy.py SEED   (one JSON object per line on its standard input, one answer for each)

  {"do": "open", "name": N, "group": G, "listen": ADDRESS, "to": ADDRESS}   a link; "unix:PATH" or
                                                                            "HOST:PORT"
  {"do": KIND, "group": G, "seconds": S}  harms one link of the group (or of the peer of that name)
                                          that is in use; "on" says which
  {"do": "heal"}                          ends everything that is under way
  {"do": "report"}                        how often each kind really struck, by group

Kinds: delay (every piece comes up to half a second late), stall (nothing passes, no connection is
closed, and all that was held comes late), one_way (the same in one direction), half_close (one side
hears that the other has ended, which has not), cut_in_frame (a piece loses its end, then both sides
are reset). A link is a peer and a broker, or a broker and its Redis: it holds whatever connections
they make, and new ones are harmed as the link is. The proxy knows no protocol: it knows that what
is sent at once hardly ever ends one byte early at the edge of a frame.
"""

import asyncio
import collections
import json
import random
import socket
import struct
import sys

PIECE = 64 * 1024
DELAY_MAX_S = 0.5
HALF_CLOSED_S = 3.0
FOREVER = float("inf")


def address_of(text):
    if text.startswith("unix:"):
        return socket.AF_UNIX, text[len("unix:"):]
    host, port = text.rsplit(":", 1)
    return socket.AF_INET, (host, int(port))


class Direction:
    """One direction of a link: when bytes may pass."""

    def __init__(self, loop):
        self.loop = loop
        self.blocked_until = 0.0
        self.slow_until = 0.0
        self.change = asyncio.Event()

    def block(self, seconds):
        self.blocked_until = max(self.blocked_until, self.loop.time() + seconds)

    def slow(self, seconds):
        self.slow_until = max(self.slow_until, self.loop.time() + seconds)

    def heal(self):
        self.blocked_until = self.slow_until = 0.0
        self.change.set()
        self.change.clear()

    @property
    def is_slow(self):
        return self.loop.time() < self.slow_until

    async def opened(self):
        """Returns when bytes may pass."""
        while (left := self.blocked_until - self.loop.time()) > 0:
            try:
                await asyncio.wait_for(self.change.wait(), left)
            except asyncio.TimeoutError:
                pass


class Link:
    def __init__(self, proxy, name, group, listen, to):
        self.proxy, self.name, self.group, self.to = proxy, name, group, to
        self.directions = (Direction(proxy.loop), Direction(proxy.loop))
        self.connections = set()
        family, where = address_of(listen)
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(where)
        self.listener.listen(64)
        self.listener.setblocking(False)

    async def serve(self):
        while True:
            near, _ = await self.proxy.loop.sock_accept(self.listener)
            connection = Connection(self, near)
            self.connections.add(connection)
            asyncio.ensure_future(connection.run())

    def fired(self, kind):
        self.proxy.count[f"{self.group}_{kind}"] += 1


class Connection:
    def __init__(self, link, near):
        self.link, self.loop = link, link.proxy.loop
        self.near, self.far = near, None
        self.cut_armed = None      # the direction whose next piece loses its end
        self.half_closed = set()   # directions whose receiver was told that they have ended

    async def run(self):
        self.near.setblocking(False)
        family, where = address_of(self.link.to)
        self.far = socket.socket(family, socket.SOCK_STREAM)
        self.far.setblocking(False)
        try:
            for direction in self.link.directions:
                await direction.opened()  # no connection through a wall
            await self.loop.sock_connect(self.far, where)
            if family == socket.AF_INET:
                for end in (self.near, self.far):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.gather(self.relay(0, self.near, self.far),
                                 self.relay(1, self.far, self.near))
        except OSError:
            pass
        finally:
            self.close()

    async def relay(self, number, source, sink):
        direction = self.link.directions[number]
        while True:
            try:
                piece = await self.loop.sock_recv(source, PIECE)
            except OSError:
                piece = b""
            if piece and direction.is_slow:
                self.link.fired("delayed_pieces")
                await asyncio.sleep(self.link.proxy.random.uniform(0.0, DELAY_MAX_S))
            await direction.opened()
            if piece and self.cut_armed == number and len(piece) > 1:
                return await self.cut(piece, sink)
            try:
                if not piece:
                    sink.shutdown(socket.SHUT_WR)
                    return
                if number not in self.half_closed:
                    await self.loop.sock_sendall(sink, piece)
            except OSError:
                return  # the other direction hears of it and tells the source

    async def cut(self, piece, sink):
        choose = self.link.proxy.random
        keep = len(piece) - 1 if choose.random() < 0.5 else choose.randrange(1, len(piece))
        try:
            await self.loop.sock_sendall(sink, piece[:keep])
        except OSError:
            pass
        else:
            self.link.fired("cut_in_frame")
        # Let what was sent arrive: a reset drops what its receiver has not read yet.
        await asyncio.sleep(0.02)
        self.reset()

    def half_close(self, number):
        sink = self.far if number == 0 else self.near
        self.half_closed.add(number)
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return
        self.link.fired("half_close")
        self.loop.call_later(HALF_CLOSED_S, self.reset)

    def reset(self):
        for end in (self.near, self.far):
            if end is None or end.fileno() < 0:
                continue
            if end.family == socket.AF_INET:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.link.connections.discard(self)
        for end in (self.near, self.far):
            if end is not None:
                end.close()


class Proxy:
    def __init__(self, seed):
        self.loop = asyncio.get_running_loop()
        self.random = random.Random(seed)
        self.count = collections.Counter()
        self.links = []

    def obey(self, order):
        what = order["do"]
        if what == "open":
            link = Link(self, order["name"], order["group"], order["listen"], order["to"])
            self.links.append(link)
            asyncio.ensure_future(link.serve())
            return {}
        if what == "heal":
            for link in self.links:
                for direction in link.directions:
                    direction.heal()
            return {}
        if what == "report":
            return dict(self.count)
        used = [link for link in self.links
                if order["group"] in (link.group, link.name.split(">")[0]) and self.connected(link)]
        if not used:
            return {"on": None}
        link = self.random.choice(used)
        getattr(self, what)(link, order["seconds"])
        return {"on": link.name}

    def delay(self, link, seconds):
        for direction in link.directions:
            direction.slow(seconds)
        link.fired("delay")

    def stall(self, link, seconds):
        for direction in link.directions:
            direction.block(seconds)
        link.fired("stall")

    def one_way(self, link, seconds):
        self.random.choice(link.directions).block(seconds)
        link.fired("one_way")

    def half_close(self, link, _):
        number = self.random.randrange(2)
        for connection in self.connected(link):
            connection.half_close(number)

    def cut_in_frame(self, link, _):
        number = self.random.randrange(2)
        for connection in self.connected(link):
            connection.cut_armed = number

    @staticmethod
    def connected(link):
        return [one for one in link.connections if one.far is not None]


async def main(seed):
    proxy = Proxy(seed)
    orders = asyncio.StreamReader()
    await proxy.loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        print(json.dumps(proxy.obey(json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
