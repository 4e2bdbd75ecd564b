"""A worker that lives and says nothing is ended, so that its slot is free; one that could not say
anything, because the database was locked or away, is not, and keeps its runs."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django.utils import timezone
from pytest_django import Settings

from runs.models import Run, RunStatus, Thread, Worker
from runs.process import processes
from runs.scheduling import recovery, silent_workers, worker_health
from runs.scheduling.recovery import sweep
from tests.support.processes import wait_until

LEASE = 0.2
LONG = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _fresh(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "lease_seconds": LEASE}
    monkeypatch.setattr(silent_workers._Process, "seen", {})
    monkeypatch.setattr(worker_health.DatabaseHealth, "disturbed", False)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """One that lives."""
    waiting = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as one:
        assert one.stdout is not None and one.stdout.read(1)
        yield one
        one.kill()


def silent_worker(process: subprocess.Popen[bytes], **fields: Any) -> Worker:
    return Worker.objects.create(
        host=processes.host(),
        pid=process.pid,
        process_started=processes.process_started(process.pid) or "",
        **{"awake": True, "heartbeat_at": timezone.now() - LONG, **fields},
    )


def sweep_for(leases: float) -> None:
    """As the broker does it: again and again."""
    until = monotonic() + leases * LEASE
    while monotonic() < until:
        sweep(timezone.now())


@pytest.mark.processes
@pytest.mark.django_db
def test_one_that_stays_silent_is_ended(process: subprocess.Popen[bytes]) -> None:
    silent_worker(process)

    def ended() -> bool:
        sweep(timezone.now())
        return process.poll() is not None

    wait_until("it is ended", ended)
    assert process.returncode == -9


@pytest.mark.processes
@pytest.mark.django_db
def test_one_that_sleeps_says_nothing_by_itself(process: subprocess.Popen[bytes]) -> None:
    silent_worker(process, awake=False)
    sweep_for(leases=3)
    assert process.poll() is None


@pytest.mark.processes
@pytest.mark.django_db
def test_the_first_look_ends_nobody(process: subprocess.Popen[bytes]) -> None:
    """The database may have been away until a moment ago."""
    worker = silent_worker(process)
    sweep(timezone.now())
    Worker.objects.filter(pk=worker.pk).update(heartbeat_at=timezone.now() + LONG)
    sweep_for(leases=3)
    assert process.poll() is None


@pytest.mark.processes
@pytest.mark.django_db
def test_other_words_begin_it_anew(process: subprocess.Popen[bytes]) -> None:
    """Silent for too long by the clock, which somebody has moved, but not mute."""
    worker = silent_worker(process)
    until = monotonic() + 4 * LEASE
    step = 0
    while monotonic() < until:
        step += 1
        moment = timezone.now() - LONG + timedelta(seconds=step)
        Worker.objects.filter(pk=worker.pk).update(heartbeat_at=moment)
        sweep(timezone.now())
    assert process.poll() is None


@contextmanager
def locked() -> Iterator[threading.Event]:
    """The database locked by another connection, until the event is set."""
    release, is_locked = threading.Event(), threading.Event()

    def hold() -> None:
        other = connections.create_connection("default")
        with other.cursor() as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            is_locked.set()
            release.wait(30)
            cursor.execute("ROLLBACK")
        other.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert is_locked.wait(30)
    try:
        yield release
    finally:
        release.set()
        holder.join()


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("raises", [False, True], ids=["waited", "gave up"])
def test_nobody_suffers_for_a_long_lock(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, raises: bool
) -> None:
    """Not the worker, nor its run, which has an attempt less if it is taken away."""
    if connection.vendor != "sqlite":
        pytest.skip("on Postgres nobody locks the whole database")
    worker = silent_worker(process)
    lost = timezone.now() - LONG
    run = Run.objects.create(
        thread=Thread.objects.create(),
        workflow="steps",
        status=RunStatus.RUNNING,
        lease_owner=worker.id,
        lease_expires_at=lost,
    )
    with locked() as release:
        if raises:
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA busy_timeout = 10")
            with pytest.raises(OperationalError, match="locked"):
                sweep(timezone.now())
            connection.close()
        else:
            timer = threading.Timer(4 * worker_health._PROMPT_SECONDS, release.set)
            asked = worker_health.database_is_responsive

            def ask() -> bool:
                timer.start()  # it waits for the lock from here on
                return asked()

            with monkeypatch.context() as patched:
                patched.setattr(recovery, "database_is_responsive", ask)
                sweep(timezone.now())
            timer.join()
    if raises:
        sweep(timezone.now())  # the first that can write: nobody else has had the time to

    # Now the worker has had it.
    Worker.objects.filter(pk=worker.pk).update(heartbeat_at=timezone.now() + LONG)
    Run.objects.filter(pk=run.pk, status=RunStatus.RUNNING).update(
        lease_expires_at=timezone.now() + LONG
    )
    sweep_for(leases=3)
    run.refresh_from_db()
    assert (process.poll(), run.status, run.crashes) == (None, RunStatus.RUNNING, 0)


@pytest.mark.django_db
def test_a_run_is_put_back_at_the_next_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = timezone.now() - LONG
    thread = Thread.objects.create()
    Run.objects.create(
        thread=thread, workflow="steps", status=RunStatus.RUNNING, lease_expires_at=lost
    )
    monkeypatch.setattr(worker_health.DatabaseHealth, "disturbed", True)
    assert sweep(timezone.now()).recovered == 0
    assert sweep(timezone.now()).recovered == 1
