"""Redis carries hints and nothing else: flushed or killed in mid-run, it takes nothing along."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.acceptance.test_main_job import STEPS, assert_as_if_nothing_happened, begin
from tests.support import needs
from tests.support.client import Client
from tests.support.processes import Server, free_port, serving, wait_until
from tests.support.promises import promise

pytestmark = pytest.mark.redis


class OwnRedis:
    """A Redis server that a test may kill and start again."""

    def __init__(self, program: str, folder: Path) -> None:
        self._command = [program, "--save", "", "--dir", str(folder), "--bind", "127.0.0.1"]
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        command = [*self._command, "--port", str(self._port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until("Redis answers", self._answers)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def used(self) -> bool:
        """Whether a hint was ever sent through it."""
        with redis.Redis.from_url(self.url) as client:
            return "cmdstat_publish" in client.info("commandstats")

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    try:
        server = OwnRedis(needs.redis_server(), tmp_path)
    except needs.Missing as missing:
        if needs.on_ci():
            pytest.fail(f"CI=true, but {missing}")
        pytest.skip(str(missing))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def hinted(tmp_path: Path, own_redis: OwnRedis) -> Iterator[Server]:
    """A server whose hints go through that Redis."""
    with serving(tmp_path, env={"REDIS_URL": own_redis.url}) as server:
        yield server


class Watching:
    """A client that follows a run on a WebSocket of its own."""

    def __init__(self, server: Server, run_id: str) -> None:
        self.frames: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._watch, args=(server.url, run_id))
        self._thread.start()

    def _watch(self, url: str, run_id: str) -> None:
        with Client(url) as client:
            self.frames = client.frames(run_id)

    def to_the_end(self) -> list[dict[str, Any]]:
        self._thread.join(60)
        assert not self._thread.is_alive(), "the stream has not ended"
        return self.frames


@pytest.mark.parametrize("what", ["flush", "kill", "restart"])
def test_redis_goes_away_in_mid_run(hinted: Server, own_redis: OwnRedis, what: str) -> None:
    with Client(hinted.url) as client:
        first = begin(client)
        watching = Watching(hinted, first)
        wait_until("hints are sent", own_redis.used)
        if what == "flush":
            own_redis.flush()
        else:
            own_redis.kill()
        later = begin(client, STEPS)  # created while it is away
        assert_as_if_nothing_happened(client, first)
        if what == "restart":
            own_redis.start()
        assert_as_if_nothing_happened(client, later)
        frames = watching.to_the_end()
        with promise("a stream has every event, once and in order"):
            assert frames == client.events(first)
