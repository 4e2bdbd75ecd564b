"""The broker, the wake-up and the slots."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone
from django_q.models import OrmQ
from django_q.signing import SignedPackage
from django_q.tasks import async_task

from runs.cluster.broker import NotifiedBroker
from runs.db.compiled import CompiledQuery
from runs.lifecycle import wakeup
from runs.models import Run, RunStatus, Thread, Worker
from runs.process import processes, slots
from tests.support.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def known_worker(transactional_db: None) -> Worker:
    """Without any worker of this host the sweep queues a wake-up, for one to make itself known."""
    pid = os.getpid()
    started = processes.process_started(pid) or ""
    return Worker.objects.create(host=processes.host(), pid=pid, process_started=started)


@pytest.fixture
def broker() -> Iterator[NotifiedBroker]:
    broker = NotifiedBroker()
    yield broker
    if broker._changes is not None:
        broker._changes.close()


def names(jobs: list[tuple[int, str]] | None) -> list[str]:
    return [SignedPackage.loads(payload)["func"] for _, payload in jobs or []]


def next_job(broker: NotifiedBroker) -> tuple[int, str]:
    """The next job, waiting for it as the pusher does."""
    found: list[tuple[int, str]] = []

    def look() -> bool:
        found.extend(broker.dequeue() or [])
        return bool(found)

    wait_until("a job comes", look)
    (job,) = found
    return job


def test_django_q_uses_it() -> None:
    from django_q.brokers import get_broker

    assert isinstance(get_broker(), NotifiedBroker)


def test_jobs_come_in_order_and_stay_until_acknowledged(broker: NotifiedBroker) -> None:
    for name in "abc":
        async_task(name)
    OrmQ.objects.filter(pk=OrmQ.objects.earliest("id").pk).update(key=broker.list_key)
    jobs = [next_job(broker) for _ in "abc"]
    assert names(jobs) == ["a", "b", "c"]
    assert broker.dequeue() is None
    assert OrmQ.objects.count() == 3
    broker.acknowledge(jobs[0][0])
    assert OrmQ.objects.count() == 2


def test_a_job_whose_lock_lapsed_comes_again(broker: NotifiedBroker) -> None:
    async_task("a")
    pk, _ = next_job(broker)
    OrmQ.objects.filter(pk=pk).update(lock=timezone.now() - timedelta(seconds=1))
    assert next_job(broker)[0] == pk


def test_a_released_job_comes_again_at_once(broker: NotifiedBroker) -> None:
    async_task("a")
    pk, _ = next_job(broker)
    broker.release(pk)
    assert next_job(broker)[0] == pk


def test_two_brokers_do_not_take_the_same_job(broker: NotifiedBroker) -> None:
    other = NotifiedBroker()
    async_task("a")
    assert names([next_job(broker)]) == ["a"]
    assert other.dequeue() is None
    assert other._changes is not None
    other._changes.close()


def test_what_was_rolled_back_is_not_queued() -> None:
    with transaction.atomic():
        wakeup.ring()
        assert wakeup.queued()
        transaction.set_rollback(True)
    assert not wakeup.queued()


def test_many_rings_are_one_wakeup(broker: NotifiedBroker, settings: Any) -> None:
    for _ in range(5):
        with transaction.atomic():
            wakeup.ring()
    assert OrmQ.objects.count() == 1
    _, payload = next_job(broker)
    job = SignedPackage.loads(payload)
    assert job["func"] == settings.FASTGRAPH["worker_job"]
    assert (job["timeout"], job["save"], job["ack_failure"]) == (-1, False, True)


def test_a_wakeup_is_given_out_once_and_before_other_jobs(broker: NotifiedBroker) -> None:
    async_task("a")
    wakeup.ring()
    next_job(broker)
    assert not wakeup.queued()
    assert names([next_job(broker)]) == ["a"]


def test_a_wakeup_waits_for_a_free_slot(broker: NotifiedBroker) -> None:
    slot = slots.acquire()
    assert slot is not None
    with slot:
        wakeup.ring()
        async_task("a")
        assert names([next_job(broker)]) == ["a"]
        assert broker.dequeue() is None
        assert wakeup.queued()
    next_job(broker)
    assert not wakeup.queued()


def test_who_executes_suspects_is_woken_beside_the_others(broker: NotifiedBroker) -> None:
    slot = slots.acquire()
    assert slot is not None
    with slot:
        wakeup.ring()
        wakeup.ring(apart=True)
        wakeup.ring(apart=True)
        assert SignedPackage.loads(next_job(broker)[1])["args"] == (True,)
        assert not wakeup.queued(apart=True)
        apart = slots.acquire(apart=True)
        assert apart is not None and slots.acquire(apart=True) is None
        with apart:
            wakeup.ring(apart=True)
            assert broker.dequeue() is None
    assert SignedPackage.loads(next_job(broker)[1])["args"] == (False,)
    assert SignedPackage.loads(next_job(broker)[1])["args"] == (True,)


def test_the_broker_sweeps(broker: NotifiedBroker, settings: Any) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "sweep_seconds": 0}
    run = Run.objects.create(
        thread=Thread.objects.create(), workflow="steps", status=RunStatus.RUNNING
    )
    next_job(broker)
    run.refresh_from_db()
    assert run.status == RunStatus.PENDING


def test_a_sweep_that_fails_does_not_stop_the_queue(
    broker: NotifiedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(now: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("runs.scheduling.recovery.sweep", fail)
    async_task("a")
    assert names([next_job(broker)]) == ["a"]


def test_a_database_that_went_away_is_waited_for(broker: NotifiedBroker) -> None:
    broker.dequeue()
    assert broker._changes is not None
    broker._changes.close()
    broken = connections.create_connection("default")
    broken.ensure_connection()
    broken.connection.close()
    broker._changes._database = broken  # type: ignore[attr-defined]
    async_task("a")
    assert names([next_job(broker)]) == ["a"]


def test_dequeue_keeps_its_connection(broker: NotifiedBroker) -> None:
    broker.dequeue()
    before = connection.connection
    async_task("a")
    next_job(broker)
    assert connection.connection is before


def test_slots_are_as_many_as_workers(settings: Any) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "workers": 2}
    first, second = slots.acquire(), slots.acquire()
    assert first is not None and second is not None
    with second:
        with first:
            assert slots.acquire() is None
            assert not slots.free()
        assert slots.free()
        again = slots.acquire()
        assert again is not None
        with again:
            assert again.name == first.name


@pytest.mark.processes
def test_a_slot_of_a_killed_process_is_free(settings: Any) -> None:
    code = (
        "import django; django.setup()\n"
        "from runs.process import slots\n"
        "slot = slots.acquire(); print(slot.name, flush=True); input()"
    )
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "fastgraph_site.settings"}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"0\n"
        assert not slots.free()
        process.kill()
        process.wait()
        assert slots.free()


def test_a_prepared_query_is_compiled_once_and_answers_anew() -> None:
    built: list[int] = []

    def build() -> Any:
        built.append(1)
        return Run.objects.filter(name="x").order_by("id").values_list("id", "tags", "created_at")

    prepared = CompiledQuery(build)
    assert prepared.rows(5) == []
    thread = Thread.objects.create()
    runs = [Run.objects.create(thread=thread, name="x", tags=["a"]) for _ in range(3)]
    expected = [(run.id, run.tags, run.created_at) for run in runs]
    assert [tuple(row) for row in prepared.rows(5)] == expected
    assert [tuple(row) for row in prepared.rows(2)] == expected[:2]
    assert len(built) == 1
