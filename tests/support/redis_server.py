"""A Redis server in a process of its own, which keeps nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import redis

from tests.support.processes import free_port, wait_until


class Redis:
    """Listens on a port of its own, the same after each start."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        options = {"--port": str(self.port), "--bind": "127.0.0.1", "--dir": str(self._folder)}
        keep = ["--save", "", "--appendonly", "no"]
        arguments = [part for pair in options.items() for part in pair]
        command = [self._program, *arguments, *keep]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until("Redis answers", self._answers)

    def stop(self) -> None:
        """Ends it; everything in it is gone."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def flush(self) -> None:
        """Forgets everything, and every client that listens."""
        with self._client() as client:
            client.flushall()
            client.client_kill_filter(_type="pubsub")

    def listeners(self) -> int:
        """How many connections listen for hints."""
        with self._client() as client:
            return len(client.client_list(_type="pubsub"))

    def _client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_connect_timeout=3)

    def _answers(self) -> bool:
        try:
            with self._client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False
