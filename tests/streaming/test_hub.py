"""The hub: one read for all, bounded memory for each, and no end of a stream but the run's."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError, connection, connections

from runs import frames as log
from runs.frames import Page
from streaming import data_version, hub, subscriber
from streaming.doorbell import Ring
from streaming.hub import Hub
from streaming.reader import Closed
from tests.streaming.journal_rows import append, committed, create_run
from tests.streaming.sockets import PATIENCE, StuckClient, connected, until

NEVER = 3600.0


def reading_threads() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("streaming")]


async def follow(hub: Hub, run_id: UUID, *, after: int = 0) -> list[int]:
    """The seqs of the run, to its end."""
    seqs: list[int] = []
    async with hub.subscribe(run_id, after=after) as subscriber, asyncio.timeout(PATIENCE):
        while frames := await subscriber.next():
            seqs += [frame.seq for frame in frames]
    return seqs


async def test_many_subscribers_of_a_run_cost_one_read() -> None:
    run_id = await committed(create_run, "started")
    own = Hub(slow_poll=NEVER)
    followers = [asyncio.create_task(follow(own, run_id, after=2)) for _ in range(200)]
    await until(lambda: len(own.subscribers) == 200 and own.live == 200, "all are live")
    before = own.log_reads
    for _ in range(5):
        await committed(append, run_id, "custom")
    await committed(append, run_id, "completed")
    assert await asyncio.gather(*followers) == [[3, 4, 5, 6, 7, 8]] * 200
    assert own.log_reads - before < 20
    await own.close()


async def test_a_run_that_many_follow_rests_and_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub, "REST", 1.0)  # one follower is a crowd
    monkeypatch.setattr(hub, "LONGEST_REST", 1.0)
    crowded = await committed(create_run, "started")
    other = await committed(create_run, "started")
    own = Hub(slow_poll=NEVER)
    async with own.subscribe(crowded, after=2) as one:
        first = asyncio.create_task(one.next())
        following = asyncio.create_task(follow(own, other, after=2))
        await until(lambda: own.live == 2, "both are live")
        await committed(append, crowded, "custom")
        assert [frame.seq for frame in await first] == [3]
        for _ in range(3):
            await committed(append, crowded, "custom")
        await committed(append, other, "completed")
        assert await following == [3]
        assert one.waiting == 0
        async with asyncio.timeout(PATIENCE):
            assert [frame.seq for frame in await one.next()] == [4, 5, 6]
    await own.close()


async def test_a_rest_ends_though_the_timer_is_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "REST", 0.02)
    loop = asyncio.get_running_loop()
    call_at = loop.call_at

    def early(when: float, *more: Any, **options: Any) -> asyncio.TimerHandle:
        return call_at(when - 0.005, *more, **options)

    monkeypatch.setattr(loop, "call_at", early)
    run_id = await committed(create_run, "started")
    own = Hub(slow_poll=NEVER)
    async with own.subscribe(run_id, after=2) as one, asyncio.timeout(PATIENCE):
        first = asyncio.create_task(one.next())
        await until(lambda: own.live, "it is live")
        await committed(append, run_id, "custom")
        await first
        await committed(append, run_id, "completed")  # during the rest; nothing rings after it
        assert [frame.seq for frame in await one.next()] == [4]
    await own.close()


async def test_without_subscribers_of_unfinished_runs_nothing_is_looked_at() -> None:
    finished = await committed(create_run, "completed")
    unfinished = await committed(create_run, "started")
    own = Hub(slow_poll=NEVER)
    assert await follow(own, finished) == [1, 2]
    async with own.subscribe(unfinished) as subscriber:
        await subscriber.next()
        waiting = asyncio.create_task(subscriber.next())
        await until(lambda: own.log_reads == 2, "it has looked, and again at the first ring")
        waiting.cancel()
    await asyncio.wait([waiting])
    await until(lambda: len(asyncio.all_tasks()) == 1, "all looking has stopped")
    reads = own.log_reads
    await committed(append, unfinished, "completed")
    assert own.log_reads == reads
    await own.close()


async def test_a_reader_that_never_reads_costs_little_and_loses_nothing() -> None:
    run_id = await committed(create_run, "started")
    stuck = StuckClient(f"/api/ws/{run_id}")
    async with asyncio.timeout(PATIENCE):
        await stuck.sending.wait()
    (behind,) = hub.current().subscribers
    async with connected(f"/api/ws/{run_id}") as quick:
        for _ in range(20):
            await committed(append, run_id, *["custom"] * 100, size=1000)
            assert behind.waiting <= subscriber.QUEUE_FRAMES
            assert behind.waiting_bytes <= subscriber.QUEUE_BYTES
        await committed(append, run_id, "completed")
        await quick.drain()
    assert quick.seqs == list(range(1, 2004))
    stuck.released.set()
    async with asyncio.timeout(PATIENCE):
        await stuck.closed.wait()
    assert stuck.seqs == quick.seqs
    await stuck.leave()


async def test_a_stuck_client_that_leaves_is_let_go() -> None:
    run_id = await committed(create_run, "started")
    stuck = StuckClient(f"/api/ws/{run_id}")
    async with asyncio.timeout(PATIENCE):
        await stuck.sending.wait()
        await stuck.leave()
    assert not hub.current().subscribers


async def test_one_that_falls_behind_while_others_go_on_reads_the_log_itself() -> None:
    run_id = await committed(create_run)
    own = Hub(slow_poll=NEVER)
    async with own.subscribe(run_id) as slow:
        seqs = [frame.seq for frame in await slow.next()]
        quick = asyncio.create_task(follow(own, run_id))
        for _ in range(8):
            await committed(append, run_id, *["custom"] * 50)
            if frames := await asyncio.wait_for(slow.next(), PATIENCE):
                seqs += [frame.seq for frame in frames]
            await committed(append, run_id, *["custom"] * (subscriber.QUEUE_FRAMES + 1))
        await committed(append, run_id, "failed")
        while frames := await asyncio.wait_for(slow.next(), PATIENCE):
            seqs += [frame.seq for frame in frames]
    assert seqs == await quick
    assert seqs == list(range(1, seqs[-1] + 1))
    await own.close()


class Failing:
    """`frames.read`, but each second call fails as a locked or restarted database makes it."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, after: Any, **room: int) -> Page:
        self.calls += 1
        if self.calls % 2:
            raise OperationalError("database is locked")
        return read(after, **room)


read = log.read


async def test_database_errors_delay_a_stream_and_do_not_end_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = await committed(create_run, "started")
    monkeypatch.setattr(log, "read", Failing())
    own = Hub()
    following = asyncio.create_task(follow(own, run_id))
    for name in ("custom", "completed"):
        await committed(append, run_id, name)
    assert await following == [1, 2, 3, 4]
    assert "database is locked" in caplog.text
    await own.close()


async def test_an_outage_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = await committed(create_run, "completed")
    failures = [OperationalError("gone")] * 4

    def read_after_failures(after: Any, **room: int) -> Page:
        if failures:
            raise failures.pop()
        return read(after, **room)

    monkeypatch.setattr(log, "read", read_after_failures)
    own = Hub()
    assert await follow(own, run_id) == [1, 2]
    assert not failures
    levels = [r.levelno for r in caplog.records if r.name == "fastgraph.database"]
    assert levels == [logging.WARNING] * 2  # its beginning and its end
    await own.close()


async def test_a_fault_in_a_look_does_not_stop_the_looking(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = await committed(create_run, "started")
    own = Hub()
    faults = [ValueError("a bug")]

    def read_after_a_fault(after: Any, **room: int) -> Page:
        if faults and own.watching:
            raise faults.pop()
        return read(after, **room)

    monkeypatch.setattr(log, "read", read_after_a_fault)
    monkeypatch.setattr("streaming.lookout.AFTER_ERROR", 0.01)
    following = asyncio.create_task(follow(own, run_id))
    await until(lambda: not faults, "the fault has happened")
    await committed(append, run_id, "completed")
    assert await following == [1, 2, 3]
    await own.close()


async def test_the_slow_poll_finds_what_no_doorbell_told() -> None:
    run_id = await committed(create_run, "started")
    own = Hub([], slow_poll=0.02)
    following = asyncio.create_task(follow(own, run_id))
    await until(lambda: own.watching, "the run is watched")
    await committed(append, run_id, "completed")
    assert await following == [1, 2, 3]
    await own.close()


async def test_the_doorbell_alone_is_enough() -> None:
    run_id = await committed(create_run, "started")
    own = Hub(slow_poll=NEVER)
    following = asyncio.create_task(follow(own, run_id))
    await until(lambda: own.watching, "the run is watched")
    for _ in range(20):
        await committed(append, run_id, "custom")
    await committed(append, run_id, "completed")
    assert await following == list(range(1, 24))
    await own.close()


class Broken:
    """A doorbell that fails a few times before it rings."""

    def __init__(self) -> None:
        self.failures = 3
        self.heard = asyncio.Event()

    async def listen(self, ring: Ring) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("refused")
        ring()
        self.heard.set()
        await asyncio.Event().wait()


async def test_a_broken_doorbell_is_tried_again_and_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("streaming.doorbell.FIRST_DELAY", 0.001)
    run_id = await committed(create_run, "started")
    bell = Broken()
    own = Hub([bell], slow_poll=0.02)
    following = asyncio.create_task(follow(own, run_id))
    async with asyncio.timeout(PATIENCE):
        await bell.heard.wait()
    await committed(append, run_id, "completed")
    assert await following == [1, 2, 3]
    assert [r.message[:6] for r in caplog.records if r.name == "streaming.doorbell"] == [
        "Broken",
        "Broken",  # … is heard again
    ]
    await own.close()


async def test_closing_frees_threads_and_connections() -> None:
    run_id = await committed(create_run, "started")
    own = Hub()
    following = asyncio.create_task(follow(own, run_id))
    await until(lambda: own.watching, "the run is watched")
    opened: list[Any] = []

    def connection_of_thread() -> None:
        connections["default"].ensure_connection()
        opened.append(connections["default"])

    await own._reader.read(connection_of_thread)
    await own.close()
    with pytest.raises(Closed):
        await following
    with pytest.raises(Closed):
        await follow(own, run_id)
    assert [each.connection for each in opened] == [None]
    await until(lambda: not reading_threads(), "the threads have ended")
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.skipif("connection.vendor != 'sqlite'")
async def test_the_data_version_tells_commits_of_others_from_reads() -> None:
    name = connection.settings_dict["NAME"]
    with closing(sqlite3.connect(name)) as own, closing(sqlite3.connect(name)) as other:
        before = data_version.read(own)
        other.execute("SELECT count(*) FROM runs_run").fetchall()
        assert data_version.read(own) == before
        await committed(create_run)
        assert data_version.read(own) != before


def test_a_locked_database_is_a_reason_to_look(tmp_path: Path) -> None:
    name = tmp_path / "locked.sqlite3"
    with closing(sqlite3.connect(name, timeout=0)) as own, closing(sqlite3.connect(name)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert data_version.read(own) is None
        other.rollback()
        assert data_version.read(own) is not None


def cut_connections(spared: int) -> None:
    """What a restart of Postgres does to those who are connected; not to the test's own fixtures,
    whose connection has the pid `spared`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), %s)",
            [spared],
        )


@pytest.fixture
def own_pid(transactional_db: None) -> int:
    """The server's pid of the connection of the fixtures; 0 where there is none."""
    connection.ensure_connection()
    return connection.connection.info.backend_pid if connection.vendor == "postgresql" else 0


@pytest.mark.skipif("connection.vendor != 'postgresql'")
async def test_cut_connections_end_no_stream(own_pid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.doorbell.FIRST_DELAY", 0.01)
    run_id = await committed(create_run, "started")
    own = Hub(slow_poll=NEVER)  # so that only the doorbell, listening again, can bring the end
    following = asyncio.create_task(follow(own, run_id))
    await until(lambda: own.log_reads >= 2, "the doorbell listens")
    await committed(cut_connections, own_pid)
    await until(lambda: own.log_reads >= 3, "the doorbell listens again")
    await committed(append, run_id, "completed")
    assert await following == [1, 2, 3]
    await own.close()
