"""The change listener, alone and in the broker: commits of another process are reported, too."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db import DatabaseError, connection, transaction
from django_q.signing import SignedPackage
from pytest_django import Settings

from runs.cluster.broker import NotifiedBroker
from runs.lifecycle import wakeup
from runs.models import Worker
from runs.notify import changes
from runs.notify.changes import (
    POLL_SECONDS,
    QUIET_AFTER_SECONDS,
    QUIET_POLL_SECONDS,
    WATCHERS,
    WORKERS,
    ChangeListener,
    listen,
)
from runs.process import processes
from tests.streaming.journal_rows import environment
from tests.support.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

#: Queues a job in a transaction, which it commits on request.
COMMITTER = """
import sys
import django; django.setup()
from django.db import transaction
from django_q.tasks import async_task
from runs.lifecycle import wakeup
with transaction.atomic():
    async_task(sys.argv[1]) if sys.argv[1:] else wakeup.ring()
    print("queued", flush=True); input()
"""


@contextmanager
def another_that_queued(*job: str) -> Iterator[subprocess.Popen[str]]:
    """A process with a wake-up, or another `job`, that is not committed."""
    with subprocess.Popen(
        [sys.executable, "-c", COMMITTER, *job],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "queued\n"
            yield process
        finally:
            process.kill()


@pytest.fixture
def broker() -> Iterator[NotifiedBroker]:
    broker = NotifiedBroker()
    yield broker
    if broker._changes is not None:
        broker._changes.close()


@pytest.mark.processes
@pytest.mark.parametrize("job", ["a wake-up", "builtins.list"])
def test_broker_is_notified_by_another_process(
    broker: NotifiedBroker, settings: Settings, monkeypatch: pytest.MonkeyPatch, job: str
) -> None:
    """Its own look, twice as far away as this test waits, has no part in it."""
    monkeypatch.setattr("runs.cluster.broker._LOOK_SECONDS", 60.0)
    pid = os.getpid()  # without any worker of this host the sweep queues a wake-up, too
    Worker.objects.create(
        host=processes.host(), pid=pid, process_started=processes.process_started(pid) or ""
    )
    taken: list[tuple[int, str]] = []

    def look() -> bool:
        taken.extend(broker.dequeue() or [])
        return bool(taken)

    wanted = settings.FASTGRAPH["worker_job"] if job == "a wake-up" else job
    with another_that_queued(*([] if job == "a wake-up" else [job])) as process:
        assert broker.dequeue() is None
        assert broker.dequeue() is None, "it is not committed"
        assert process.stdin is not None
        process.stdin.write("commit\n")
        process.stdin.flush()
        wait_until("the job is taken", look, 30)
    ((_, payload),) = taken
    assert SignedPackage.loads(payload)["func"] == wanted
    assert not wakeup.queued()


def test_commit_ends_the_wait() -> None:
    listener = listen("default", WORKERS, prompt=False)
    assert not listener.wait(0)
    waiting = threading.Event()
    reported: list[float] = []

    def wait() -> None:
        waiting.set()
        if listener.wait(20):
            reported.append(time.monotonic())

    thread = threading.Thread(target=wait)
    thread.start()
    waiting.wait()
    wakeup.ring()
    thread.join()
    assert reported
    listener.close()


def polled(listener: ChangeListener) -> bool | None:
    """The next report of the listener, which is there or on its way."""
    reports: list[bool] = []

    def poll() -> bool:
        if (ended := listener.poll()) is not None:
            reports.append(ended)
        return bool(reports)

    wait_until("a change is reported", poll, 30)
    return reports[0]


def test_poll_reports_each_change_once_and_whether_a_run_may_have_ended() -> None:
    listener = listen("default", WATCHERS)
    assert listener.poll() is None
    for ended in (True, False):
        with transaction.atomic():
            Worker.objects.create(host="x", pid=1 + ended, process_started="x")
            changes.notify_changes(ended=ended)
        # A process does not notify itself of a change without an end on SQLite: anything may have
        # happened then.
        assert polled(listener) is (ended or connection.vendor == "sqlite")
        assert listener.poll() is None
    listener.close()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one channel")
def test_watchers_are_not_notified_of_work_nor_workers_of_changes() -> None:
    watchers, workers = listen("default", WATCHERS), listen("default", WORKERS)
    changes.notify_workers()
    assert polled(workers) is False
    assert watchers.poll() is None
    changes.notify_changes()
    assert polled(watchers) is True
    assert workers.poll() is None
    watchers.close()
    workers.close()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="Postgres has NOTIFY")
def test_quiet_database_is_polled_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        pauses.append(seconds)

    clock = SimpleNamespace(monotonic=lambda: now, sleep=sleep)
    monkeypatch.setattr("runs.notify.changes.time", clock)
    listener = listen("default", WORKERS, prompt=False)
    assert not listener.wait(1.0)
    often, seldom = (
        QUIET_AFTER_SECONDS / POLL_SECONDS,
        (1.0 - QUIET_AFTER_SECONDS) / QUIET_POLL_SECONDS,
    )
    assert pauses.count(POLL_SECONDS) == pytest.approx(often, abs=2)
    assert pauses.count(QUIET_POLL_SECONDS) == pytest.approx(seldom, abs=2)
    pauses.clear()
    with transaction.atomic():
        Worker.objects.create(host="x", pid=1, process_started="x")
    assert listener.wait(1.0)
    assert not listener.wait(POLL_SECONDS)
    assert pauses == [POLL_SECONDS]
    listener.close()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="Postgres has NOTIFY")
def test_reads_of_others_are_no_change() -> None:
    listener = listen("default", WORKERS, prompt=False)
    with closing(sqlite3.connect(connection.settings_dict["NAME"])) as other:
        other.execute("SELECT count(*) FROM runs_run").fetchall()
        assert listener.poll() is None
    listener.close()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="Postgres has NOTIFY")
def test_locked_database_counts_as_a_change_each_time(tmp_path: Path) -> None:
    name = tmp_path / "locked.sqlite3"
    listener = listen("default", WORKERS, prompt=False)
    listener._database.connection.close()  # type: ignore[attr-defined]
    with closing(sqlite3.connect(name)) as other:
        own = sqlite3.connect(name, timeout=0)
        listener._database.connection = own  # type: ignore[attr-defined]
        other.execute("BEGIN EXCLUSIVE")
        assert (listener.poll(), listener.poll()) == (True, True)
        other.rollback()
        assert (listener.poll(), listener.poll()) == (True, None)
    listener.close()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no server to cut it off")
def test_cut_connection_is_a_database_error() -> None:
    listener = listen("default", WATCHERS)
    pid = listener._database.connection.info.backend_pid  # type: ignore[attr-defined]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    with pytest.raises(DatabaseError):
        listener.wait(30)
    listener.close()
