"""The threads of a worker: an error of one is logged, and it goes on or ends the process."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from django.db import InterfaceError
from pytest_django import Settings

from artifacts.store import store
from runs.engine import START, StateGraph
from runs.models import Run
from runs.notify import changes
from runs.process import supervised_thread
from runs.process.supervised_thread import SupervisedThread
from runs.scheduling import leases
from runs.worker import worker
from runs.worker.worker import Worker
from tests.integration.counting import Count, Register, pending

#: Longer than any machine takes; a test that works never waits for so long.
WAIT_SECONDS = 60.0
ERRORS = [InterfaceError("connection already closed"), RuntimeError("unexpected")]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised_thread, "RESTART_SECONDS", 0.0)
    monkeypatch.setattr(worker, "RESTART_SECONDS", 0.0)


class Thread:
    """A supervised thread whose body raises these, one after the other, and then ends."""

    def __init__(self, *errors: BaseException) -> None:
        self.ended, self.deaths, self.calls = threading.Event(), 0, 0
        self._errors = list(errors)
        one = SupervisedThread("x", self._body, ended=self.ended, on_death=self._die)
        one.start()
        one.join()

    def _body(self) -> None:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        self.ended.set()

    def _die(self) -> None:
        self.deaths += 1


@pytest.mark.parametrize("error", ERRORS, ids=["interface", "runtime"])
def test_supervised_thread_goes_on_after_an_error(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    thread = Thread(error, error)
    assert (thread.calls, thread.deaths) == (3, 0)
    assert [r.exc_info is not None for r in caplog.records] == [True, True]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_supervised_thread_that_has_to_end_says_so() -> None:
    thread = Thread(KeyboardInterrupt(), RuntimeError())
    assert (thread.calls, thread.deaths) == (1, 1)


def waiting_run(register: Register, until: threading.Event) -> Run:
    """A run that goes on until the event is set."""

    async def waits(state: Count) -> None:
        await asyncio.to_thread(until.wait, WAIT_SECONDS)

    return pending(register(StateGraph(Count).add_node("w", waits).add_edge(START, "w")))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", ERRORS, ids=["interface", "runtime"])
def test_leases_are_renewed_after_errors_of_the_heartbeat(
    error: Exception,
    register: Register,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "lease_seconds": 4.0, "linger_seconds": 0.02}
    renewed, left, renew = threading.Event(), [2], leases.renew

    def failing(*args: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise error
        kept = renew(*args)
        renewed.set()
        return kept

    monkeypatch.setattr(leases, "renew", failing)
    run = waiting_run(register, renewed)
    asyncio.run(Worker(store(), abandon=renewed.set).drain())
    run.refresh_from_db()
    assert (run.status, left) == ("completed", [0])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", ERRORS, ids=["interface", "runtime"])
def test_work_is_noticed_after_errors_of_the_listener(
    error: Exception,
    register: Register,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "linger_seconds": 0.02}
    made: list[Any] = []
    closed: list[Any] = []
    listening, listen = threading.Event(), changes.listen

    class Broken:
        def wait(self, seconds: float) -> bool:
            raise error

        def close(self) -> None:
            closed.append(self)

    def opened(*args: Any, **kwargs: Any) -> Any:
        made.append(1)
        if len(made) <= 3:
            return Broken()
        listening.set()
        return listen(*args, **kwargs)

    monkeypatch.setattr(worker, "listen", opened)
    run = waiting_run(register, listening)
    asyncio.run(Worker(store()).drain())
    run.refresh_from_db()
    assert (run.status, len(closed)) == ("completed", 3), "each connection is given back"


@pytest.mark.django_db(transaction=True)
def test_worker_without_a_heartbeat_claims_nothing_and_ends(
    register: Register,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "lease_seconds": 0.2, "linger_seconds": 30.0}

    def fail(*args: Any) -> Any:
        raise RuntimeError("unexpected")

    monkeypatch.setattr(leases, "renew", fail)
    monkeypatch.setattr(worker, "STOP_SECONDS", 0.0)
    abandoned = threading.Event()
    never = threading.Event()
    run = waiting_run(register, never)
    made = Worker(store(), abandon=abandoned.set)
    asyncio.run(made.drain())
    assert abandoned.is_set()
    run.refresh_from_db()
    assert run.status == "pending", "it was given back"
    assert not made._keeps_leases()
