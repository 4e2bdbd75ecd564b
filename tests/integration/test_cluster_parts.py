"""What the processes of a cluster share: none of it may be damaged by a death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runs.cluster.queues import RecordQueue, ResultQueue
from runs.cluster.sentinel import Sentinel
from runs.cluster.timers import Timer
from runs.db import idle_timeout
from runs.process import forking, node_processes, process_tree, processes, stop_request
from runs.process.shared_flag import Flag
from tests.support.processes import wait_until


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[RecordQueue]:
    queue = RecordQueue(tmp_path, limit=2)
    yield queue
    queue.close()


@pytest.fixture
def flag() -> Iterator[Flag]:
    flag = Flag()
    yield flag
    flag.close()


def forked(target: Callable[[], object]) -> int:
    """The pid of a child that does `target` and ends."""
    pid = os.fork()
    if pid == 0:
        try:
            target()
        finally:
            os._exit(0)
    return pid


def put_all(queue: RecordQueue, items: Iterable[object]) -> None:
    for item in items:
        queue.put(item)


def asleep(pid: int) -> Callable[[], bool]:
    """Whether the process waits in the kernel."""
    stat = Path(f"/proc/{pid}/stat")
    return lambda: stat.read_text().rpartition(")")[2].split()[0] == "S"


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_items_come_in_order_whatever_their_size(queue: RecordQueue, tmp_path: Path) -> None:
    for item in ({"a": 1}, "x" * 100_000, ["b"], None):
        queue.put(item)
        assert queue.qsize() == 1
        assert queue.get() == item
    assert queue.empty()
    assert queue.get_nowait() is None
    assert not list(tmp_path.iterdir())


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_readers_that_are_killed_while_they_wait_leave_the_queue_whole(queue: RecordQueue) -> None:
    readers = [forked(queue.get) for _ in range(3)]
    for reader in readers:
        wait_until("it waits", asleep(reader))
        end(reader)
    queue.put("still there")
    assert queue.get() == "still there"


@pytest.mark.processes
def test_many_writers_and_readers_lose_and_mix_up_nothing(tmp_path: Path) -> None:
    queue, results = RecordQueue(tmp_path, limit=8), RecordQueue(tmp_path)
    items = {f"{n}" * (5000 if n % 7 == 0 else 5) for n in range(200)}

    def read() -> None:
        while (item := queue.get()) != "STOP":
            results.put(item)

    readers = [forked(read) for _ in range(4)]
    writer = forked(lambda: put_all(queue, [*items, *["STOP"] * 4]))
    got = {results.get() for _ in items}
    assert got == items
    for pid in (writer, *readers):
        os.waitpid(pid, 0)
    queue.close()
    results.close()


@pytest.mark.processes
def test_a_full_queue_makes_its_writer_wait(queue: RecordQueue) -> None:
    writer = forked(lambda: put_all(queue, range(3)))
    wait_until("it is full", lambda: queue.qsize() == 2)
    assert os.waitpid(writer, os.WNOHANG) == (0, 0)
    assert [queue.get() for _ in range(3)] == [0, 1, 2]
    os.waitpid(writer, 0)


def test_a_result_that_cannot_be_pickled_is_a_failure(tmp_path: Path) -> None:
    results = ResultQueue(tmp_path)
    results.put({"id": "a", "success": True, "result": lambda: None})
    got = results.get()
    assert (got["id"], got["success"]) == ("a", False)
    assert "cannot be pickled" in got["result"]
    results.close()


@pytest.mark.processes
def test_a_flag_is_seen_by_everybody_and_for_ever(flag: Flag) -> None:
    assert not flag.is_set()
    os.waitpid(forked(flag.set), 0)
    for _ in range(2):
        assert flag.is_set()
        assert flag.wait(60)
    for _ in range(100_000):  # more than a pipe holds
        flag.set()


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_waiter_that_is_killed_leaves_the_flag_whole(flag: Flag) -> None:
    waiter = forked(lambda: flag.wait(60))
    wait_until("it waits", asleep(waiter))
    end(waiter)
    assert not flag.is_set()
    flag.set()
    assert flag.is_set()


def test_a_job_sees_that_it_should_stop(flag: Flag, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop_request, "_flag", None)
    assert not stop_request.stopping()
    assert not stop_request.wait(0)
    stop_request.arm(flag)
    assert not stop_request.stopping()
    flag.set()
    assert stop_request.stopping()
    assert stop_request.wait(60)


def test_a_timer_runs_out_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    timer = Timer()
    assert timer.value == -1
    timer.value = 60
    timer.value += 3
    assert timer.value == pytest.approx(63)
    now += 62
    assert timer.value == pytest.approx(1)
    now += 2
    assert timer.value == 0
    for special in (-1, -2, 0):
        timer.value = special
        assert timer.value == special


@pytest.mark.processes
def test_a_process_is_told_from_all_others() -> None:
    own = processes.process_started(os.getpid())
    assert own and len(own) <= 40
    assert processes.process_started(os.getpid()) == own
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        started = processes.process_started(child.pid)
        assert started and started != own
        assert not processes.known_dead(child.pid, started)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert processes.known_dead(child.pid, started), "it waits only to be reaped"
    assert processes.known_dead(child.pid, started)
    assert processes.known_dead(os.getpid(), started), "another process with our pid"


@pytest.mark.processes
@pytest.mark.parametrize("platform", ["own", "posix"])
def test_a_child_dies_with_its_parent(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if platform == "posix":
        monkeypatch.setattr(processes, "_LINUX", False)
    reader, writer = os.pipe()

    def parent() -> None:
        here = os.getpid()

        def child() -> None:
            processes.die_with_parent(here)
            os.write(writer, b"1")
            time.sleep(60)

        forked(child)
        time.sleep(60)

    pid = forked(parent)
    os.close(writer)
    assert os.read(reader, 1) == b"1"
    end(pid)
    assert os.read(reader, 1) == b"", "the child held the other end of the pipe, and is gone"
    os.close(reader)


@pytest.mark.processes
def test_a_child_that_comes_too_late_dies_at_once() -> None:
    pid = os.fork()
    if pid == 0:
        processes.die_with_parent(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


def test_worker_does_not_inherit_that_no_user_code_runs_on_its_thread(tmp_path: Path) -> None:
    seen: list[bool] = []
    sentinel = Sentinel.__new__(Sentinel)
    with ThreadPoolExecutor(1) as thread, pytest.MonkeyPatch.context() as patch:
        for name in ("prepare_worker", "install", "adopt_orphans", "end_below"):
            for module in (forking, node_processes, processes, process_tree):
                if hasattr(module, name):
                    patch.setattr(module, name, lambda *_: None)
        for name in ("stop_event", "start_event", "event_out"):
            setattr(sentinel, name, Flag())
        for name in ("task_queue", "result_queue"):
            setattr(sentinel, name, RecordQueue(tmp_path))

        def begin() -> None:
            idle_timeout.enable_for_thread()
            sentinel._work(lambda: seen.append(idle_timeout.is_enabled()))

        thread.submit(begin).result()
    assert seen == [False]
