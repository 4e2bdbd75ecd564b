"""What a forked process keeps of its worker, and who holds a slot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection, connections
from django.utils import timezone
from rest_framework.test import APIClient

from fastgraph_site.environment import BASE_DIR
from runs.conf import conf
from runs.db.guard import open_transactions
from runs.engine.concurrency import forked
from runs.models import Run, Thread, Worker
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from runs.process import forking, node_processes, process_tree, processes, reports, slots
from runs.queries import slot_holders
from runs.queries.why import causes
from tests.support.processes import wait_until

LOCK = "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX)"


def in_fork(check: Callable[[], bool]) -> bool:
    """Whether `check` is true in a forked process."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if check() else 2)
        finally:
            os._exit(3)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.fixture
def sleeper() -> Iterator[Callable[[], int]]:
    """Forks a process that only sleeps; answers its pid."""
    pids: list[int] = []

    def fork() -> int:
        pid = os.fork()
        if pid == 0:
            signal.pause()
            os._exit(0)
        pids.append(pid)
        return pid

    yield fork
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.processes
def test_forked_process_does_not_keep_the_slot(sleeper: Callable[[], int]) -> None:
    slot = slots.acquire()
    assert slot is not None
    with slot:
        sleeper()
        assert not slots.free()  # and has not released it either
    wait_until("it can be had", slots.free)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process, as if nodes ran in it."""
    monkeypatch.setattr(forking, "_worker", os.getpid())


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_process_that_a_node_forks_uses_no_connection_of_its_worker(worker: None) -> None:
    Thread.objects.count()
    own = connection.connection
    others: list[object] = []
    ready, leave = threading.Event(), threading.Event()

    def connect() -> None:
        Thread.objects.count()
        others.append(connections["default"].connection)
        ready.set()
        leave.wait(30)
        connections.close_all()

    thread = threading.Thread(target=connect)
    thread.start()
    try:
        ready.wait(30)

        def check() -> bool:
            kept = {id(inherited) for inherited in forking._inherited}
            fresh = not connections.all(initialized_only=True)
            return kept >= {id(own), id(others[0])} and fresh and forked.generation == 1

        assert in_fork(check)
        assert in_fork(lambda: Thread.objects.count() == 0)  # on a new one
        assert forked.generation == 0
        assert connection.connection is own
        assert Thread.objects.count() == 0
    finally:
        leave.set()
        thread.join()


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who holds a lock")
@pytest.mark.django_db
def test_process_that_holds_every_slot_is_named_with_the_way_out(
    api: APIClient, trail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot_holders, "_REGISTERS_SECONDS", -60)
    slots.free()  # makes the folder
    path = slots.path_of("0")
    run = create_run(NewRun(workflow=trail, payload={"input": "x"}))
    before = timezone.now()
    held = f"{LOCK}; print(flush=True); time.sleep(600)"
    command = [sys.executable, "-c", held, str(path)]
    with subprocess.Popen(command, cwd=BASE_DIR, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None and process.stdout.readline()
            (cause,) = causes(run, timezone.now())
            health = api.get("/api/health").json()
            (holder,) = slot_holders.blocking(timezone.now())
        finally:
            process.kill()
    assert cause.code == "slot_held"
    assert f"slot 0 is held by process {process.pid} ({sys.executable} -c import" in cause.detail
    assert cause.detail.endswith(f"kill {process.pid}")
    assert abs(holder.since - before) < timedelta(minutes=5)
    assert f"{holder.since:%Y-%m-%d %H:%M:%S} UTC" in cause.detail
    assert health["status"] == "degraded"
    assert health["checks"]["workers"] == {"ok": False, "alive": 0, "detail": cause.detail}
    (cause,) = causes(run, timezone.now())
    assert cause.code == "no_worker"


def start_orphan() -> None:
    """A process that ends after its parent."""
    pid = os.fork()
    if pid == 0:
        os.fork()
        os._exit(0)
    os.waitpid(pid, 0)


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has orphans come to a process")
def test_orphan_that_has_ended_is_collected_and_own_processes_are_not() -> None:
    def check() -> bool:
        processes.adopt_orphans()
        reaper = node_processes._Reaper()
        start_orphan()
        with subprocess.Popen(["true"]) as own:
            reaper.started(own.pid)
            wait_until("both have ended", lambda: [p.zombie for p in below()] == [True, True])
            reaper.reap()  # a library may still collect what it has started
            assert len(below()) == 2
            reaper.reap()
            assert [p.pid for p in below()] == [own.pid]
        return own.returncode == 0

    assert in_fork(check)


def below() -> list[process_tree.Process]:
    return process_tree.children(os.getpid())


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has orphans come to a process")
def test_orphans_are_killed_but_not_own_processes_or_those_in_a_session_of_their_own() -> None:
    def check() -> bool:
        processes.adopt_orphans()
        own = subprocess.Popen(["sleep", "600"])
        subprocess.run("sleep 600 & setsid sleep 600 & wait 0", shell=True, check=False)
        wait_until("the other has its session", lambda: len(below()) == 2)
        every = {p.pid for p in process_tree.children(os.getpid(), any_session=True)}
        (orphan,) = {p.pid for p in below()} - {own.pid}
        (session,) = every - {own.pid, orphan}
        process_tree.end_orphans({own.pid})
        left = {p.pid for p in process_tree.children(os.getpid(), any_session=True)}
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        return left == {own.pid, session}

    assert in_fork(check)


@pytest.mark.processes
def test_pid_that_another_process_has_now_is_left_alone() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        found = process_tree.find(process.pid)
        assert found is not None
        process_tree.end([replace(found, started="before")])
        assert process.poll() is None
        process_tree.end([found])
        assert process.wait() == -signal.SIGTERM


@pytest.mark.django_db
def test_worker_that_has_just_taken_its_slot_blocks_nobody() -> None:
    slot = slots.acquire()
    assert slot is not None
    with slot:
        assert slots.taken_by(slot.name) == os.getpid()
        assert slot_holders.blocking(timezone.now()) == []


def test_slots_of_a_host_are_named() -> None:
    assert slots.names() == [str(number) for number in range(conf().workers)]
    assert slots.path_of(slots.names(apart=True)[0]) == Path(conf().data_dir / "slots" / "apart")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who holds a lock")
@pytest.mark.django_db
def test_worker_that_cannot_write_its_heartbeat_is_no_foreign_holder(
    api: APIClient, trail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot_holders, "_REGISTERS_SECONDS", -60)
    pid, now = os.getpid(), timezone.now()
    Worker.objects.create(
        host=processes.host(),
        pid=pid,
        process_started=processes.process_started(pid) or "",
        heartbeat_at=now - timedelta(seconds=conf().lease_seconds + 7),
        awake=True,
    )
    run = create_run(NewRun(workflow=trail, payload={"input": "x"}))
    lapsed = {"status": "running", "lease_expires_at": now - timedelta(seconds=7)}
    report = open_transactions.OpenTransaction(
        holder="Node 'holds'",
        database="default",
        locks_whole_database=True,
        seconds=conf().lease_seconds + 7,
        run_id="",
        node="holds",
        process=f"{processes.host()}:{pid}",
    )
    path = reports.folder_of("open_transactions") / "test.json"
    slot = slots.acquire()
    assert slot is not None
    with slot:
        assert slot_holders.blocking(now) == []
        reports.publish(path, [report])
        try:
            health = api.get("/api/health").json()
            pending = [cause.code for cause in causes(run, now)]
            Run.objects.filter(pk=run.pk).update(**lapsed)
            run.refresh_from_db()
            running = [cause.code for cause in causes(run, now)]
        finally:
            reports.publish(path, [])
    assert health["checks"]["workers"]["ok"] is True
    assert health["checks"]["workers"]["alive"] == 1
    assert health["checks"]["database"]["ok"] is False
    assert pending[0] == "database_locked"
    assert not {"slot_held", "no_worker"} & set(pending)
    assert running == ["database_locked"]
