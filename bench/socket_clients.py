"""Many clients in a process of their own, which say little and cost little: WebSockets by hand, on
plain sockets. `python -m bench.socket_clients PORT PATH COUNT` prints one JSON line when all are
connected, and one when all are closed.

All of them follow the same, so they must be sent the same bytes: what one receives is compared with
what the first has received at that place. Only these are looked into, and at the end: whether they
are whole messages, numbered without a gap. When each message came is known of every client.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import time
from bisect import bisect_right

_SENT_AT = re.compile(rb'"t_ns":(\d+)')
_SEQ = re.compile(rb'"seq":(\d+)')
_PING = b"\x89\x04"  # of the server, which sends 4 bytes with it; in no frame of ASCII text
_TEXT, _CLOSE = 0x81, 0x88
_READ = 16 * 1024
_EASE = 0.001  # seconds between two rounds of a crowd, which spare it a waking for each message


class Broken(Exception):
    """A client was not sent what it had to be."""


class Stream:
    """The bytes that each client has to receive: the first to come so far says which."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.messages: list[bytes] = []
        self.ends: list[int] = []  # where each message ends

    def check(self, at: int, piece: bytes) -> None:
        """Broken unless `piece` is what comes at `at`, or the first that does."""
        if not self.data.startswith(piece, at):
            known = self.data[at : at + len(piece)]
            if not piece.startswith(known):
                raise Broken(f"at {at}: {bytes(known[:200])!r} and {piece[:200]!r}")
            self.data += piece[len(known) :]

    def take_apart(self) -> None:
        """Fill in `messages` and `ends`."""
        data, at = bytes(self.data), 0
        while at < len(data):
            kind, length, begin = data[at], data[at + 1], at + 2
            if length > 125:
                size = 2 if length == 126 else 8
                length, begin = int.from_bytes(data[begin : begin + size]), begin + size
            at = begin + length
            if kind == _TEXT:
                self.messages.append(data[begin:at])
                self.ends.append(at)
            elif kind != _CLOSE or at != len(data):
                raise Broken(f"a message of kind {kind:#x} at {begin}")


class Client:
    """One socket: how much of the stream it has received, and when how much of it."""

    def __init__(self, port: int, path: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        request = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        self.socket.sendall(request.encode())
        self.times: list[int] = []
        self.places: list[int] = []
        self.at = 0
        self.rest = b""

    def answered(self, stream: Stream) -> None:
        """Wait for the answer to the request; what comes behind it belongs to the stream."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.socket.recv(_READ)
        head, _, first = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise Broken(repr(head))
        self.socket.setblocking(False)
        if first:
            self.take(first, stream)

    def read(self, stream: Stream) -> bool:
        """Take what is there. False: the server has closed."""
        data = self.socket.recv(_READ)
        self.take(data, stream)
        return bool(data)

    def take(self, data: bytes, stream: Stream) -> None:
        if self.rest:
            data, self.rest = self.rest + data, b""
        if _PING[:1] in data:
            data = self._answer_pings(data)
        stream.check(self.at, data)
        self.at += len(data)
        self.times.append(time.time_ns())
        self.places.append(self.at)

    def _answer_pings(self, data: bytes) -> bytes:
        while (at := data.find(_PING)) >= 0 and len(data) >= at + 6:
            mask = b"\0\0\0\0"
            self.socket.send(b"\x8a\x84" + mask + data[at + 2 : at + 6])
            data = data[:at] + data[at + 6 :]
        cut = at if at >= 0 else len(data) - data.endswith(_PING[:1])
        data, self.rest = data[:cut], data[cut:]
        return data


def listen(clients: list[Client], stream: Stream) -> None:
    """Until the server has closed all of them."""
    poll = select.epoll()
    by_number = {client.socket.fileno(): client for client in clients}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    while by_number:
        for number, _ in poll.poll(maxevents=len(by_number)):
            if not by_number[number].read(stream):
                poll.unregister(number)
                by_number.pop(number).socket.close()
        if len(clients) > 1:
            time.sleep(_EASE)


def late(client: Client, stream: Stream, sent: list[tuple[int, int]]) -> list[int]:
    """How many ns after it was sent each message with a time came. `sent`: number and time."""
    found = []
    for number, at in sent:
        read = bisect_right(client.places, stream.ends[number] - 1)
        found.append(client.times[read] - at)
    return found


def account(clients: list[Client], stream: Stream) -> dict[str, float | int]:
    """What all of them have seen; Broken when one has not seen all."""
    if short := [client for client in clients if client.at != len(stream.data)]:
        raise Broken(f"{len(short)} clients were not sent everything")
    stream.take_apart()
    seqs = [int(found[1]) for text in stream.messages if (found := _SEQ.search(text))]
    if seqs != list(range(1, len(seqs) + 1)):
        raise Broken("a gap")
    times = [_SENT_AT.search(text) for text in stream.messages]
    sent = [(number, int(found[1])) for number, found in enumerate(times) if found]
    lates = [late(client, stream, sent) for client in clients]
    in_order = sorted(each for of_client in lates for each in of_client)
    sending = sent[-1][1] - sent[0][1]
    return {
        "frames": len(seqs) * len(clients),
        "timed": len(in_order),
        "p50_ms": in_order[len(in_order) // 2] / 1e6,
        "p99_ms": in_order[int(len(in_order) * 0.99)] / 1e6,
        "max_ms": in_order[-1] / 1e6,
        "seconds": (sending + max(of_client[-1] for of_client in lates)) / 1e9,
        "reads": sum(len(client.times) for client in clients),
    }


def main(port: int, path: str, count: int) -> None:
    stream, clients = Stream(), list[Client]()
    while len(clients) < count:
        some = [Client(port, path) for _ in range(min(50, count - len(clients)))]
        for client in some:
            client.answered(stream)
        clients += some
    print(json.dumps({"connected": count}), flush=True)
    before = time.process_time()
    listen(clients, stream)
    used = time.process_time() - before
    print(json.dumps({**account(clients, stream), "cpu_seconds": used}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
