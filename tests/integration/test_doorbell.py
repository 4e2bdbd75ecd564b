"""The doorbell, by itself and as the broker hears it: from another process, too."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from django.db import connection, transaction
from django_q.signing import SignedPackage
from pytest_django import Settings

from runs import processes, wakeup
from runs.broker import DoorbellBroker
from runs.doorbell import LOOK_SECONDS, QUIET_AFTER, QUIET_LOOK_SECONDS, doorbell
from runs.models import Worker
from tests.streaming.journal_rows import environment
from tests.support.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

#: Queues a job in a transaction, which it commits when it is told to.
RINGER = """
import sys
import django; django.setup()
from django.db import transaction
from django_q.tasks import async_task
from runs import wakeup
with transaction.atomic():
    async_task(sys.argv[1]) if sys.argv[1:] else wakeup.ring()
    print("rang", flush=True); input()
"""


@contextmanager
def another_that_rang(*job: str) -> Iterator[subprocess.Popen[str]]:
    """A process with a wake-up, or another `job`, that is not committed."""
    with subprocess.Popen(
        [sys.executable, "-c", RINGER, *job],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "rang\n"
            yield process
        finally:
            process.kill()


@pytest.fixture
def broker() -> Iterator[DoorbellBroker]:
    broker = DoorbellBroker()
    yield broker
    if broker._bell is not None:
        broker._bell.close()


@pytest.mark.processes
@pytest.mark.parametrize("job", ["a wake-up", "builtins.list"])
def test_the_broker_hears_another_process(
    broker: DoorbellBroker, settings: Settings, monkeypatch: pytest.MonkeyPatch, job: str
) -> None:
    """Its own look, twice as far away as this test waits, has no part in it."""
    monkeypatch.setattr("runs.broker._LOOK_SECONDS", 60.0)
    pid = os.getpid()  # without any worker of this host the sweep rings, too
    Worker.objects.create(
        host=processes.host(), pid=pid, process_started=processes.process_started(pid) or ""
    )
    taken: list[tuple[int, str]] = []

    def look() -> bool:
        taken.extend(broker.dequeue() or [])
        return bool(taken)

    wanted = settings.FASTGRAPH["worker_job"] if job == "a wake-up" else job
    with another_that_rang(*([] if job == "a wake-up" else [job])) as process:
        assert broker.dequeue() is None
        assert broker.dequeue() is None, "it is not committed"
        assert process.stdin is not None
        process.stdin.write("commit\n")
        process.stdin.flush()
        wait_until("it is heard", look, 30)
    ((_, payload),) = taken
    assert SignedPackage.loads(payload)["func"] == wanted
    assert not wakeup.queued()


def test_a_commit_rings_the_bell() -> None:
    bell = doorbell("default")
    assert not bell.wait(0)
    asleep = threading.Event()
    rang: list[float] = []

    def listen() -> None:
        asleep.set()
        if bell.wait(20):
            rang.append(time.monotonic())

    listener = threading.Thread(target=listen)
    listener.start()
    asleep.wait()
    wakeup.ring()
    listener.join()
    assert rang
    bell.close()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="Postgres tells by itself")
def test_what_has_not_moved_for_a_while_is_looked_at_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    rests: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        rests.append(seconds)

    clock = SimpleNamespace(monotonic=lambda: now, sleep=sleep)
    monkeypatch.setattr("runs.doorbell.time", clock)
    bell = doorbell("default")
    assert not bell.wait(1.0)
    often, seldom = QUIET_AFTER / LOOK_SECONDS, (1.0 - QUIET_AFTER) / QUIET_LOOK_SECONDS
    assert rests.count(LOOK_SECONDS) == pytest.approx(often, abs=2)
    assert rests.count(QUIET_LOOK_SECONDS) == pytest.approx(seldom, abs=2)
    rests.clear()
    with transaction.atomic():
        Worker.objects.create(host="x", pid=1, process_started="x")
    assert bell.wait(1.0)
    assert not bell.wait(LOOK_SECONDS)
    assert rests == [LOOK_SECONDS]
    bell.close()
