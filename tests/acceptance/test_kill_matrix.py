"""`kill -9` of any process leaves neither a wedge nor an orphan, and stopping has a limit."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.served import JobServer, gone
from tests.support.databases import own_database
from tests.support.processes import wait_until

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="finds processes by their names in /proc"
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobServer]:
    with own_database() as url:
        shared = JobServer(tmp_path_factory.mktemp("shared"), DATABASE_URL=url)
        try:
            shared.start()
            yield shared
        finally:
            shared.close()


@pytest.fixture
def survivor(shared: JobServer) -> Iterator[JobServer]:
    """A server that is all there, for tests that leave it so."""
    wait_until("all are there before", shared.complete)
    yield shared
    wait_until("all are there after", shared.complete)


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[JobServer]:
    """A server that is not started yet, for a test that ends it."""
    with own_database() as url:
        mortal = JobServer(tmp_path, DATABASE_URL=url)
        try:
            yield mortal
        finally:
            mortal.close()


def kill(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until("the killed are gone", gone(*pids))


def stop(server: JobServer, number: signal.Signals) -> None:
    """Send `number` to the main process: it ends in time, all of it, without a complaint."""
    children = server.below()
    assert server.stop(number) == 0
    assert gone(*children)()
    assert "Traceback" not in server.log()


def test_any_worker_may_die(survivor: JobServer) -> None:
    for worker in survivor.named("fg:worker"):
        kill(worker)
        survivor.run("note")


def test_all_idle_workers_may_die_at_once(survivor: JobServer) -> None:
    kill(*survivor.named("fg:worker"))
    survivor.run("note")


def test_busy_workers_may_die(survivor: JobServer) -> None:
    busy = {survivor.run("for_ever") for _ in range(survivor.workers)}
    assert busy == survivor.named("fg:worker")
    waiting = survivor.enqueue("note")
    kill(*busy)
    wait_until("the job behind them runs", waiting.exists)


@pytest.mark.parametrize("name", ["fg:pusher", "fg:monitor", "fg:sentinel"])
def test_any_other_process_of_the_cluster_may_die(survivor: JobServer, name: str) -> None:
    for _ in range(2):
        kill(survivor.only(name))
        survivor.run("note")
        wait_until("all are there", survivor.complete)


def test_sentinel_may_die_while_a_worker_is_busy(survivor: JobServer) -> None:
    busy = survivor.run("for_ever")
    kill(survivor.only("fg:sentinel"))
    wait_until("its worker is gone, too", gone(busy))
    survivor.run("note")


def test_web_process_may_die(survivor: JobServer) -> None:
    before = survivor.only("fg:web")
    kill(before)
    assert survivor.get()["pid"] != before  # this client has only waited
    survivor.run("note")


def test_results_of_any_size_and_kind_leave_the_cluster_alive(survivor: JobServer) -> None:
    workers = survivor.named("fg:worker")
    for job in ("big_result", "big_result", "asynchronous"):
        survivor.enqueue(job)
    survivor.run("note")
    assert survivor.named("fg:worker") == workers


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_nothing_outlives_the_main_process(mortal: JobServer, busy: bool) -> None:
    mortal.start()
    if busy:
        mortal.run("for_ever")
    children = mortal.below()
    mortal.kill_main()
    wait_until("no child is left", gone(*children))


@pytest.mark.parametrize("asgi", ["uvicorn", "daphne"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_signal_stops_everything(mortal: JobServer, asgi: str, number: signal.Signals) -> None:
    mortal.start("--server", asgi)
    drained = mortal.enqueue("until_stopping")
    wait_until("a job runs that watches for the stop", drained.exists)
    stop(mortal, number)
    assert drained.with_name(f"{drained.name}.stopped").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_never_ends_does_not_stop_the_stop(
    mortal: JobServer, number: signal.Signals
) -> None:
    mortal.start()
    for _ in range(mortal.workers):
        mortal.run("for_ever")
    for _ in range(2 * mortal.workers):  # more than the cluster fetches in advance
        mortal.enqueue("note")
    stop(mortal, number)


def test_ctrl_c_goes_to_the_whole_group(mortal: JobServer) -> None:
    """As a terminal sends it: every process of the group gets it, and twice if pressed twice."""
    mortal.start()
    children = mortal.below()
    os.killpg(mortal.pid, signal.SIGINT)
    os.killpg(mortal.pid, signal.SIGINT)
    stop(mortal, signal.SIGINT)
    assert gone(*children)()
