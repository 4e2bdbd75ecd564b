"""Many clients in a process of their own, which say little and cost little: WebSockets by hand, on
plain sockets. `python -m bench.socket_clients PORT PATH COUNT` prints one JSON line when all are
connected, and one when all are closed."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time

_SENT_AT = re.compile(rb'"t_ns":(\d+)')
_SEQ = re.compile(rb'"seq":(\d+)')


class Client:
    """One socket: what it received, and how late."""

    def __init__(self) -> None:
        self.frames = 0
        self.gaps = 0
        self.late: list[int] = []
        self.first_sent = 0
        self.last_read = 0
        self._seq = 0

    async def open(self, port: int, path: str) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        self._writer.write(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head

    async def read(self) -> None:
        """To the close."""
        while True:
            first, length = await self._reader.readexactly(2)
            if length > 125:
                length = int.from_bytes(await self._reader.readexactly(2 if length == 126 else 8))
            payload = await self._reader.readexactly(length)
            if first == 0x88:
                self._writer.close()
                return
            if first == 0x89:
                self._writer.write(_pong(payload))
            elif first == 0x81:
                self._take(payload)

    def _take(self, payload: bytes) -> None:
        self.frames += 1
        if seq := _SEQ.search(payload):
            self.gaps += int(seq[1]) != self._seq + 1
            self._seq = int(seq[1])
        if sent := _SENT_AT.search(payload):
            self.last_read = time.time_ns()
            self.first_sent = self.first_sent or int(sent[1])
            self.late.append(self.last_read - int(sent[1]))


def _pong(payload: bytes) -> bytes:
    return bytes((0x8A, 0x80 | len(payload))) + b"\0\0\0\0" + payload  # a mask of zeros


async def main(port: int, path: str, count: int) -> None:
    clients = [Client() for _ in range(count)]
    for start in range(0, count, 50):
        await asyncio.gather(*(c.open(port, path) for c in clients[start : start + 50]))
    print(json.dumps({"connected": count}), flush=True)
    await asyncio.gather(*(client.read() for client in clients))
    late = sorted(each for client in clients for each in client.late)
    told = {
        "frames": sum(client.frames for client in clients),
        "gaps": sum(client.gaps for client in clients),
        "p50_ms": late[len(late) // 2] / 1e6 if late else None,
        "p99_ms": late[int(len(late) * 0.99)] / 1e6 if late else None,
        "seconds": (max(c.last_read for c in clients) - min(c.first_sent for c in clients)) / 1e9,
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
