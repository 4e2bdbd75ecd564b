"""What one sweep changes, clause by clause."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ

from runs.engine.ids import uuid7
from runs.lifecycle import cancellation, wakeup
from runs.models import Event, Run, RunStatus, Thread, Worker
from runs.process import processes
from runs.scheduling import availability, recovery, worker_health
from runs.scheduling.recovery import Swept, sweep
from tests.support.processes import wait_until

pytestmark = pytest.mark.django_db

NOW = timezone.now()
LATER = NOW + timedelta(seconds=5)
EARLIER = NOW - timedelta(seconds=5)


def new_run(status: RunStatus = RunStatus.RUNNING, **fields: Any) -> Run:
    return Run.objects.create(
        thread=Thread.objects.create(), workflow="steps", status=status, **fields
    )


def new_worker(process: int | None = None, **fields: Any) -> Worker:
    """The row of a worker on this host, in this process unless told otherwise."""
    pid = process or os.getpid()
    started = processes.process_started(pid) or ""
    return Worker.objects.create(
        **{"host": processes.host(), "pid": pid, "process_started": started, **fields}
    )


def ended_worker() -> Worker:
    """The row of a worker whose process was alive when it was written."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        worker = new_worker(process.pid)
        process.communicate()
    return worker


def test_nothing_to_do_is_nothing_done() -> None:
    run = new_run(lease_owner=new_worker().id, lease_expires_at=LATER)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert sweep(NOW) == Swept()
    assert not [q for q in queries if not q["sql"].startswith("SELECT")]
    run.refresh_from_db()
    assert run.status == RunStatus.RUNNING and run.lease_expires_at == LATER


def test_a_lapsed_lease_puts_the_run_back() -> None:
    run = new_run(lease_owner=uuid7(), lease_expires_at=EARLIER, attempt=4, seq=9, step=2)
    assert sweep(NOW) == Swept(recovered=1, rang=True)
    run.refresh_from_db()
    assert run.status == RunStatus.PENDING
    assert (run.crashes, run.attempt, run.seq) == (1, 4, 9)
    assert run.lease_owner is None and run.lease_expires_at is None
    assert run.updated_at == NOW


def test_a_late_part_that_always_fails_keeps_no_run_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        worker_health.DatabaseHealth, "disturbed", False
    )  # to be as it was after this test

    def fails(_: object) -> None:
        raise OperationalError("canceling statement due to lock timeout")

    monkeypatch.setattr(availability, "report_missing", fails)
    with pytest.raises(OperationalError):
        sweep(NOW)
    run = new_run()
    with pytest.raises(OperationalError):
        sweep(NOW)
    run.refresh_from_db()
    assert run.status == RunStatus.PENDING


def test_it_is_asked_once_whether_runs_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_health.DatabaseHealth, "disturbed", False)
    new_run()
    with CaptureQueriesContext(connection) as queries:
        assert sweep(NOW).recovered == 1
    asked = [q["sql"] for q in queries if q["sql"].startswith("SELECT 1")]
    assert len(asked) == len(set(asked))


def test_a_running_run_without_a_lease_is_put_back() -> None:
    new_run()
    assert sweep(NOW).recovered == 1


@pytest.mark.processes
def test_a_dead_process_loses_its_runs_at_once() -> None:
    dead, alive = ended_worker(), new_worker()
    lost = new_run(lease_owner=dead.id, lease_expires_at=LATER)
    kept = new_run(lease_owner=alive.id, lease_expires_at=LATER)
    assert sweep(NOW) == Swept(recovered=1, workers=1, rang=True)
    lost.refresh_from_db()
    kept.refresh_from_db()
    assert (lost.status, kept.status) == (RunStatus.PENDING, RunStatus.RUNNING)
    assert list(Worker.objects.all()) == [alive]


def test_a_later_process_with_the_same_pid_is_another() -> None:
    worker = new_worker()
    worker.process_started = worker.process_started[:-1] + "x"
    worker.save()
    assert sweep(NOW).workers == 1


@pytest.mark.parametrize("started", ["", "another boot or namespace:123"])
def test_what_cannot_be_known_is_left_to_the_lease(started: str) -> None:
    worker = new_worker(process_started=started)
    new_run(lease_owner=worker.id, lease_expires_at=LATER)
    assert sweep(NOW) == Swept()


def test_a_process_of_another_host_is_judged_by_its_silence() -> None:
    talking = new_worker(host="elsewhere", pid=2**22 - 1, heartbeat_at=NOW)
    new_worker(host="elsewhere", pid=2**22 - 2, heartbeat_at=NOW - timedelta(hours=1))
    assert sweep(NOW).workers == 1
    assert Worker.objects.get() == talking


def test_a_frozen_process_of_this_host_keeps_its_row() -> None:
    new_worker(heartbeat_at=NOW - timedelta(hours=1))
    assert sweep(NOW).workers == 0


def test_a_sleeping_run_wakes_when_it_is_due() -> None:
    due = new_run(RunStatus.SLEEPING, wake_at=NOW)
    early = new_run(RunStatus.SLEEPING, wake_at=LATER)
    assert sweep(NOW) == Swept(woken=1, rang=True)
    due.refresh_from_db()
    early.refresh_from_db()
    assert (due.status, early.status) == (RunStatus.PENDING, RunStatus.SLEEPING)
    assert due.crashes == 0


@pytest.mark.parametrize("at", [uuid7(), None], ids=["a step", "no step"])
def test_a_run_that_only_crashes_fails_with_its_last_event(settings: Any, at: Any) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "max_attempts": 3}
    lost: dict[str, Any] = {"lease_owner": uuid7(), "lease_expires_at": EARLIER, "crashes": 2}
    run = new_run(**lost, seq=7, step=1, checkpoint_id=at)
    new_worker()
    assert sweep(NOW) == Swept(failed=1)
    run.refresh_from_db()
    assert run.status == RunStatus.FAILED
    assert (run.crashes, run.seq, run.finished_at) == (3, 8, NOW)
    assert run.lease_owner is None
    event = Event.objects.get(run=run)
    assert (event.seq, event.name) == (8, "failed")
    assert json.loads(event.data) == run.error
    assert run.error["type"] == recovery.CRASHED
    assert f"replay_run {run.id}" in run.error["message"]
    assert ("--from-step 1" in run.error["message"]) == (at is not None)


def test_it_rings_for_suspects_apart(settings: Any) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "max_attempts": 3}
    new_worker()
    new_run(RunStatus.PENDING, crashes=2)
    assert sweep(NOW) == Swept()
    assert (wakeup.queued(), wakeup.queued(apart=True)) == (False, True)


def test_it_rings_once_for_pending_work() -> None:
    new_run(RunStatus.PENDING)
    assert not wakeup.queued()
    assert sweep(NOW) == Swept(rang=True)
    assert wakeup.queued()
    assert sweep(NOW) == Swept()


def test_it_rings_for_a_host_without_a_worker() -> None:
    assert sweep(NOW) == Swept(rang=True)
    new_worker()
    OrmQ.objects.all().delete()
    assert sweep(NOW) == Swept()


def test_it_vouches_for_a_worker_that_sleeps() -> None:
    long_ago = NOW - timedelta(hours=1)
    asleep = new_worker(awake=False, heartbeat_at=long_ago)
    elsewhere = Worker.objects.create(
        host="another", pid=1, process_started="x", awake=False, heartbeat_at=EARLIER
    )
    assert sweep(NOW) == Swept()
    asleep.refresh_from_db()
    elsewhere.refresh_from_db()
    assert (asleep.heartbeat_at, elsewhere.heartbeat_at) == (NOW, EARLIER)


@pytest.mark.parametrize(
    "status", [s for s in RunStatus if s not in {RunStatus.RUNNING, RunStatus.PENDING}]
)
def test_what_is_at_rest_stays_at_rest(status: RunStatus) -> None:
    new_worker()
    run = new_run(status, lease_expires_at=EARLIER)
    assert sweep(NOW) == Swept()
    run.refresh_from_db()
    assert run.status == status


@pytest.mark.django_db(transaction=True)
def test_many_sweepers_do_everything_once() -> None:
    hopeless = [new_run(lease_expires_at=EARLIER, crashes=2, seq=1) for _ in range(10)]
    for _ in range(10):
        new_run(lease_expires_at=EARLIER)
    swept: list[Swept] = []
    start = threading.Barrier(4)

    def work() -> None:
        try:
            start.wait()
            swept.append(sweep(NOW))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(swept) == 4
    assert sum(s.recovered for s in swept) == 10
    assert sum(s.failed for s in swept) == 10
    assert set(Run.objects.values_list("crashes", "status")) == {(1, "pending"), (3, "failed")}
    events = Event.objects.values_list("run_id", "seq").order_by("run_id")
    assert list(events) == sorted((run.id, 2) for run in hopeless)


@pytest.mark.processes
@pytest.mark.parametrize("stopped", [True, False], ids=["stopped", "slow"])
def test_only_a_stopped_worker_is_ended_before_any_write(
    monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    """What it has locked nobody can write before it is gone; one that is slow may go on."""
    monkeypatch.setattr(
        worker_health.DatabaseHealth, "disturbed", False
    )  # to be as it was after this test

    def locked(*_: object) -> bool:
        raise OperationalError("database is locked")

    monkeypatch.setattr(recovery, "database_is_responsive", locked)
    monkeypatch.setattr(cancellation, "overdue", locked)
    sleeping = [sys.executable, "-c", "print(flush=True); import time; time.sleep(60)"]
    with subprocess.Popen(sleeping, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        if stopped:
            process.send_signal(signal.SIGSTOP)
            wait_until("it is stopped", lambda: processes.stopped(process.pid))
        new_worker(process.pid, heartbeat_at=NOW - timedelta(seconds=30), awake=True)
        try:
            with pytest.raises(OperationalError):
                sweep(NOW)
            if stopped:
                assert process.wait(10) == -signal.SIGKILL
            assert stopped or process.poll() is None
        finally:
            process.kill()
