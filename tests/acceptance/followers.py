"""Clients that follow one run to its end: cut off, they come back with their cursor."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import httpx
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from tests.support.client import TERMINAL

AGAIN = 0.1  # seconds until it comes back


class Follower(threading.Thread):
    """Keeps the bytes of every frame that it was sent, also of one that it has already."""

    def __init__(self, url: str, run_id: str) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.run_id = run_id
        self.bodies: list[bytes] = []
        self.seq = 0
        self.ended = False
        self.start()

    @property
    def frames(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]

    def has(self, seq: int) -> bool:
        return self.seq >= seq

    def run(self) -> None:
        while not self.ended:
            try:
                self.follow()
            except (OSError, WebSocketException, httpx.HTTPError):
                time.sleep(AGAIN)

    def follow(self) -> None:
        """Read from the cursor to the end of the connection."""
        raise NotImplementedError

    def take(self, body: bytes) -> None:
        frame = json.loads(body)
        self.bodies.append(body)
        self.seq = frame["seq"]
        self.ended = frame["event"] in TERMINAL

    def __str__(self) -> str:
        return f"{type(self).__name__} at {self.url}"


class Socket(Follower):
    def follow(self) -> None:
        address = f"{self.url.replace('http', 'ws', 1)}/api/ws/{self.run_id}?after={self.seq}"
        with connect(address) as socket:
            for text in socket:
                assert isinstance(text, str)
                if not text.startswith('{"event":"ready"'):
                    self.take(text.encode())


class EventStream(Follower):
    def follow(self) -> None:
        headers = {"Last-Event-ID": str(self.seq)} if self.seq else {}
        address = f"{self.url}/api/runs/{self.run_id}/stream"
        with httpx.stream("GET", address, headers=headers, timeout=30) as answer:
            data = b""
            for piece in answer.iter_raw():
                *blocks, data = (data + piece).split(b"\n\n")
                for block in blocks:
                    for line in block.split(b"\n"):
                        if line.startswith(b"data: "):
                            self.take(line.removeprefix(b"data: "))
        if answer.status_code != 200:
            raise OSError(f"answered {answer.status_code}")


FOLLOWERS: tuple[type[Follower], ...] = (Socket, EventStream)
