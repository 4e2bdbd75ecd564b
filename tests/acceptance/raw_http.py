"""HTTP as bytes on a socket, for what no client library would send."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPResponse
from typing import Any, Self

PATIENCE = 20.0
HOST = "Host: 127.0.0.1\r\n"


class Raw:
    """One connection to the server at `port`."""

    def __init__(self, port: int, *, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", port))
        self.own_port = int(self.socket.getsockname()[1])

    def send(self, *parts: str | bytes) -> Self:
        """Send them, as far as the server takes them."""
        with suppress(ConnectionError):
            for part in parts:
                self.socket.sendall(part.encode("latin-1") if isinstance(part, str) else part)
        return self

    def get(self, path: str, *lines: str) -> Self:
        """Send a whole request."""
        return self.send(f"GET {path} HTTP/1.1\r\n{HOST}", *(f"{x}\r\n" for x in lines), "\r\n")

    def post(self, path: str, length: int, body: bytes) -> Self:
        """Send a request whose body should have `length` bytes, and has these."""
        kind = "Content-Type: application/json\r\n"
        head = f"POST {path} HTTP/1.1\r\n{HOST}{kind}Content-Length: {length}\r\n\r\n"
        return self.send(head.encode() + body)

    def answer(self, method: str = "GET") -> Answer:
        """The next answer. Behind it nothing may be under way: it would be lost."""
        with closing(HTTPResponse(self.socket, method=method)) as response:
            response.begin()
            return Answer(response.status, dict(response.getheaders()), response.read())

    def head(self) -> bytes:
        """What comes first, at least the status line."""
        return self.socket.recv(4096)

    def rest(self) -> bytes:
        """All until the server ends the connection; TimeoutError when it does not."""
        found = b""
        with suppress(ConnectionError):
            while piece := self.socket.recv(65536):
                found += piece
        return found

    def is_open(self) -> bool:
        """Whether the server has ended neither side, and has sent nothing that was not read."""
        self.socket.setblocking(False)
        try:
            self.socket.recv(1, socket.MSG_PEEK)
            return False
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        finally:
            self.socket.settimeout(PATIENCE)

    def close(self) -> None:
        self.socket.close()


class Answer:
    """A complete answer."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The `code` of problem details."""
        assert self.headers["content-type"] == "application/problem+json", self.body[:200]
        return str(self.json["code"])


@contextmanager
def connections(port: int, count: int) -> Iterator[list[Raw]]:
    """So many open connections."""
    opened: list[Raw] = []
    try:
        opened.extend(Raw(port) for _ in range(count))
        yield opened
    finally:
        for one in opened:
            one.close()
