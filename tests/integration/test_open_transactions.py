"""Long transactions: the log, the health check, *why* and a 503 name who holds them."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from typing import Any, TypedDict

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from runs import workflows
from runs.db.guard import open_transactions
from runs.engine import START, StateGraph
from runs.http.problems import told
from runs.models import Run, Thread
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from runs.process import reports
from runs.queries.why import causes
from tests.support.processes import wait_until
from tests.support.worker import run_pending

pytestmark = pytest.mark.django_db(transaction=True)


class State(TypedDict, total=False):
    n: int


@pytest.fixture(autouse=True)
def soon(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "linger_seconds": 0.02}
    monkeypatch.setattr(open_transactions, "LONG_SECONDS", 0.1)
    monkeypatch.setattr(open_transactions, "LOOK_SECONDS", 0.05)


@pytest.fixture
def start() -> Iterator[Callable[..., Run]]:
    with workflows.temporary():

        def started(node: Callable[..., Any], name: str, **options: Any) -> Run:
            graph = StateGraph(State).add_node(name, node, **options).add_edge(START, name)
            workflows.register(f"of_{name}", graph.compile(), input_schema={"type": "object"})
            return create_run(NewRun(workflow=f"of_{name}", payload={"n": 1}))

        yield started


@contextmanager
def draining() -> Iterator[None]:
    def drain() -> None:
        try:
            run_pending()
        finally:
            connections.close_all()

    thread = threading.Thread(target=drain)
    thread.start()
    try:
        yield
    finally:
        thread.join(30)


class Hold:
    """Holds a transaction open until it is released."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def __call__(self) -> None:
        with transaction.atomic():
            Thread.objects.create()
            self.over.wait(30)


@pytest.mark.parametrize("atomic", [False, True], ids=["plain", "atomic"])
def test_long_transaction_names_its_node_wherever_operators_look(
    start: Callable[..., Run], api: APIClient, caplog: pytest.LogCaptureFixture, atomic: bool
) -> None:
    hold = Hold()

    def node(state: State) -> None:
        hold()

    run = start(node, "holder", atomic=atomic)
    other = start(lambda state: None, "other")
    on_sqlite = connection.vendor == "sqlite"
    with draining():
        try:
            wait_until("the transaction is reported", lambda: bool(open_transactions.published()))
            health = api.get("/api/health").json()
            refused = told(OperationalError("database is locked"), "POST", "/api/runs/")
            own = {cause.code: cause.detail for cause in causes(run, timezone.now())}
            others = {cause.code: cause.detail for cause in causes(other, timezone.now())}
        finally:
            hold.over.set()
    holder = f"Node 'holder' of run {run.id} (of_holder)"
    assert holder in caplog.text
    assert holder in refused.detail
    assert health["checks"]["database"]["ok"] is not on_sqlite
    assert holder in health["checks"]["database"]["detail"]
    assert holder in own["holds_transaction"]
    assert ("database_locked" in others) is on_sqlite
    wait_until("the report is gone", lambda: not open_transactions.published())
    assert f"The transaction of {holder} ended" in caplog.text


def test_long_transaction_of_a_thread_of_its_own_names_the_code(
    start: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    hold = Hold()

    def by_hand() -> None:
        try:
            hold()
        finally:
            connections.close_all()

    with ThreadPool(1) as pool:

        def node(state: State) -> None:
            pool.apply(by_hand)

        run = start(node, "holder")
        with draining():
            try:
                wait_until("it is reported", lambda: bool(open_transactions.published()))
                (found,) = open_transactions.published()
            finally:
                hold.over.set()
    assert "user code" in found.holder
    assert f"Node 'holder' of run {run.id}" in found.holder
    assert "test_open_transactions.py" in found.holder
    assert found.holder in caplog.text


def test_transaction_that_an_idle_thread_of_a_pool_keeps_is_rolled_back(
    start: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    def begins() -> None:
        transaction.set_autocommit(False)
        Thread.objects.create(metadata={"name": "lost"})

    with ThreadPool(1) as pool:

        def node(state: State) -> None:
            pool.apply(begins)

        start(node, "holder")
        with draining():
            wait_until("it is rolled back", lambda: "which is rolled back" in caplog.text)
            Thread.objects.create(metadata={"name": "kept"})
        pool.apply(lambda: Thread.objects.create(metadata={"name": "kept, too"}))
        pool.apply(connections.close_all)
    names = {thread.metadata.get("name") for thread in Thread.objects.all()}
    assert names - {None} == {"kept", "kept, too"}
    assert "was idle inside a transaction" in caplog.text


def test_long_transaction_that_outlives_its_worker_is_still_reported() -> None:
    hold = Hold()

    def by_hand() -> None:
        try:
            hold()
        finally:
            connections.close_all()

    thread = threading.Thread(target=by_hand, name="by-hand")
    with open_transactions.reported():
        thread.start()
        wait_until("it is reported", lambda: bool(open_transactions.published()))
    (before,) = open_transactions.published()
    try:
        wait_until("it is reported again", lambda: longer(before.seconds))
    finally:
        hold.over.set()
        thread.join()
    wait_until("the report is gone", lambda: not open_transactions.published())


def longer(seconds: float) -> bool:
    return any(found.seconds > seconds for found in open_transactions.published())


def test_report_of_a_process_that_died_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = open_transactions.OpenTransaction(
        holder="Node 'gone'",
        database="default",
        locks_whole_database=True,
        seconds=9.0,
        run_id="",
        node="gone",
        process="here:1",
    )
    path = reports.folder_of("open_transactions") / "here-1.json"
    reports.publish(path, [found])
    assert open_transactions.published() == [found]
    monkeypatch.setattr(reports, "STALE_SECONDS", -1.0)
    assert open_transactions.published() == []
    reports.publish(path, [])
    assert not path.exists()


def test_transaction_of_a_thread_that_ended_is_rolled_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept: list[Any] = []

    def begins() -> None:
        kept.append(connections["default"])
        transaction.set_autocommit(False)
        Thread.objects.create()

    thread = threading.Thread(target=begins, name="by-hand")
    thread.start()
    thread.join()
    assert open_transactions.find() == []
    assert kept[0].connection is None
    Thread.objects.create()
    assert Thread.objects.count() == 1
    assert "Thread 'by-hand' of user code" in caplog.text


@pytest.mark.processes
def test_report_of_a_dead_process_of_this_host_is_dropped_at_once() -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    found = open_transactions.OpenTransaction(
        holder="Node 'gone'",
        database="default",
        locks_whole_database=True,
        seconds=9.0,
        run_id="",
        node="gone",
        process=f"{socket.gethostname()}:{ended.pid}",
    )
    path = reports.folder_of("open_transactions") / "gone.json"
    reports.publish(path, [found])
    assert open_transactions.published() == []
    path.unlink()
