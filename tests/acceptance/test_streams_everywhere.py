"""One run followed through two web processes, over both kinds of streams, while what they stand on
goes away and comes back: nothing is missing, nothing comes twice, the end arrives."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.followers import FOLLOWERS, Follower
from tests.acceptance.test_hard_times import busy_worker
from tests.support.client import Client
from tests.support.databases import own_database
from tests.support.processes import Server, wait_until
from tests.support.promises import promise
from tests.support.redis_server import Redis

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="finds processes by their names in /proc"
)

TOKENS = {"count": 300, "interval": 0.01}
STEPS = {"steps": 60, "seconds": 0.05}
EACH = 2  # followers of each kind on each web process


class House:
    """Two web processes on one database, the first of which brings two workers."""

    def __init__(self, first: Server, second: Server) -> None:
        self.servers = (first, second)
        self._followers: list[Follower] = []

    def begin(self, client: Client, workflow: str, payload: Mapping[str, Any]) -> str:
        """The id of a run that everybody follows and that is well under way."""
        run_id: str = client.create(workflow, dict(payload))["id"]
        self._followers = [
            kind(server.url, run_id)
            for server in self.servers
            for kind in FOLLOWERS
            for _ in range(EACH)
        ]
        self.wait_for(15)
        return run_id

    def wait_for(self, seq: int) -> None:
        """Until all of them are so far."""
        for follower in self._followers:
            wait_until(f"{follower} is at {seq}", partial(follower.has, seq), 60)

    def assert_complete(self, client: Client, run_id: str) -> None:
        """What each of them put together is what REST tells, byte by byte the same for all."""
        for follower in self._followers:
            follower.join(120)
            assert not follower.is_alive(), f"{follower} waits for the end at {follower.seq}"
        events = client.events(run_id)
        bodies = {tuple(follower.bodies) for follower in self._followers}
        with promise("every stream has every event, once and in order"):
            assert events[-1]["event"] == "completed"
            assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
            assert len(bodies) == 1
            assert self._followers[0].frames == events
        late = [kind(server.url, run_id) for server in self.servers for kind in FOLLOWERS]
        for follower in late:
            follower.join(60)
            assert not follower.is_alive(), f"{follower} waits for the end at {follower.seq}"
            with promise("who comes late sees the same"):
                assert tuple(follower.bodies) in bodies


@contextmanager
def house(folder: Path, redis: Redis | None = None) -> Iterator[House]:
    with own_database() as url:
        env = {"DATABASE_URL": url, "FASTGRAPH_WORKERS": "2"}
        if redis is not None:
            env["REDIS_URL"] = redis.url
        servers = [Server(folder / "data", env), Server(folder / "data", env)]
        try:
            servers[0].provide_tables()
            servers[0].start()
            servers[1].start("--no-workers")
            yield House(*servers)
        finally:
            for server in reversed(servers):
                server.close()


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as built:
        yield built


@pytest.fixture
def with_redis(tmp_path: Path, own_redis: Redis) -> Iterator[House]:
    with house(tmp_path, own_redis) as built:
        yield built


def test_two_web_processes_without_redis(plain: House) -> None:
    with Client(plain.servers[1].url) as client:
        run_id = plain.begin(client, "tokens", TOKENS)
        plain.assert_complete(client, run_id)


def test_redis_stops_in_mid_stream_and_comes_back(with_redis: House, own_redis: Redis) -> None:
    with Client(with_redis.servers[0].url) as client:
        run_id = with_redis.begin(client, "tokens", {**TOKENS, "count": 1500})
        wait_until("both web processes listen", lambda: own_redis.listeners() >= 2)
        own_redis.stop()
        with_redis.wait_for(min(400, 15 + client.run(run_id)["seq"]))
        own_redis.start()
        wait_until("both listen again", lambda: own_redis.listeners() >= 2, 60)
        with_redis.assert_complete(client, run_id)


def test_a_worker_is_killed_and_redis_flushed(with_redis: House, own_redis: Redis) -> None:
    with Client(with_redis.servers[1].url) as client:
        run_id = with_redis.begin(client, "steps", STEPS)
        os.kill(busy_worker(with_redis.servers[0], client), signal.SIGKILL)
        own_redis.flush()
        with_redis.assert_complete(client, run_id)


def test_a_server_is_restarted_in_mid_stream(with_redis: House) -> None:
    first, second = with_redis.servers
    with Client(second.url) as client:
        run_id = with_redis.begin(client, "steps", STEPS)
        first.stop()
        first.start()
        with_redis.wait_for(client.run(run_id)["seq"])
        second.stop(signal.SIGKILL)
        wait_until("all of it is gone", lambda: not second.processes())
        second.start("--no-workers")
        with_redis.assert_complete(client, run_id)
