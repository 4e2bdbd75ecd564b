"""A light HTTP client on asyncio streams: the usual ones cost more than the server
that they are to measure."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Self


class Connection:
    """One kept-alive connection to a server on the loopback address."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        opened = await asyncio.open_connection("127.0.0.1", self._port, limit=2**24)
        self._reader, self._writer = opened
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON that the server answers with; RuntimeError unless it is a success."""
        sent = b"" if body is None else json.dumps(body).encode()
        self._send(f"{method} {path}", f"Content-Length: {len(sent)}", sent)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith("content-length:"))
        answer = await self._reader.readexactly(length)
        if lines[0].split()[1][0] != "2":
            raise RuntimeError(f"{method} {path}: {lines[0]}: {answer[:500]!r}")
        return json.loads(answer)

    def _send(self, what: str, header: str, body: bytes) -> None:
        host = f"Host: 127.0.0.1:{self._port}\r\nContent-Type: application/json"
        self._writer.write(f"{what} HTTP/1.1\r\n{host}\r\n{header}\r\n\r\n".encode() + body)
