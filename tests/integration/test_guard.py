"""The guard of user code: what a call leaves open on its thread is rolled back and fails its node,
and the calls after it find a usable connection."""

from __future__ import annotations

import asyncio
import logging
import operator
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from asgiref.sync import SyncToAsync, sync_to_async
from channels.db import database_sync_to_async
from django.db import DatabaseError, connection, connections, transaction
from django.db.backends.base.base import NO_DB_ALIAS
from pytest_django import Settings

from runs import workflows
from runs.db.guard.connection_guard import guarded_loop
from runs.engine import START, Context, RetryPolicy, StateGraph, SyncContext, interrupt
from runs.models import Run, Thread
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from tests.support.processes import wait_until
from tests.support.worker import run_pending

pytestmark = pytest.mark.django_db(transaction=True)


class State(TypedDict, total=False):
    n: int
    log: Annotated[list[str], operator.add]


Leave = Callable[[], object]
kept: list[Any] = []
#: As a module of nodes may have one.
own_pool = ThreadPoolExecutor(1)
#: The one name of another database that the test runner lets threads connect to.
OTHER = NO_DB_ALIAS


def write(name: str) -> None:
    Thread.objects.create(metadata={"name": name})


def written() -> list[str]:
    found = (thread.metadata.get("name") for thread in Thread.objects.all())
    return sorted(name for name in found if name)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    yield
    while kept:
        with suppress(Exception):  # its transaction is over
            kept.pop().close()
    own_pool.submit(connections.close_all).result()


@pytest.fixture(autouse=True)
def other_database(tmp_path: Path) -> Iterator[None]:
    """A second database, as a project may have one."""
    settings = {**connections.settings["default"], "ENGINE": "django.db.backends.sqlite3"}
    connections.settings[OTHER] = settings | {"NAME": str(tmp_path / "other"), "OPTIONS": {}}
    yield
    del connections.settings[OTHER]


@pytest.fixture
def start() -> Iterator[Callable[..., Run]]:
    """Creates a run of a graph with one node."""
    with workflows.temporary():

        def started(node: Callable[..., Any], name: str = "node", **options: Any) -> Run:
            graph = StateGraph(State).add_node(name, node, **options).add_edge(START, name)
            workflows.unregister(f"of_{name}")
            workflows.register(f"of_{name}", graph.compile(), input_schema={"type": "object"})
            return create_run(NewRun(workflow=f"of_{name}", payload={"n": 1}))

        yield started


@pytest.fixture
def drain(settings: Settings) -> Callable[[], None]:
    settings.FASTGRAPH = {
        **settings.FASTGRAPH,
        "linger_seconds": 0.02,
        "node_threads": 1,  # so that the second run uses the thread of the first
    }
    return run_pending


# --- ways to leave a connection in a state that the next call must not see ----------------------


def autocommit_off() -> None:
    transaction.set_autocommit(False)
    write("lost")


def autocommit_off_at_the_driver() -> None:
    connection.ensure_connection()
    if connection.vendor == "sqlite":
        connection.connection.isolation_level = ""
    else:
        connection.connection.autocommit = False
    write("lost")


def raw_begin() -> None:
    with connection.cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE" if connection.vendor == "sqlite" else "BEGIN")
    write("lost")


def atomic_never_left() -> None:
    transaction.atomic().__enter__()
    write("lost")


def nested_atomics_never_left() -> None:
    transaction.atomic().__enter__()
    transaction.atomic().__enter__()
    write("lost")


def atomic_in_a_generator() -> None:
    def inside() -> Iterator[None]:
        with transaction.atomic():
            write("lost")
            yield

    generator = inside()
    next(generator)
    kept.append(generator)


def failed_transaction() -> None:
    atomic_never_left()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM there_is_no_such_table")
    except DatabaseError:
        pass


def atomic_closed_inside() -> None:
    atomic_never_left()
    connection.close()


def marked_for_rollback() -> None:
    connection.ensure_connection()
    connection.needs_rollback = True


def copy_never_ended() -> None:
    connection.ensure_connection()
    cursor = connection.connection.cursor()
    copy = cursor.copy("COPY auth_group (name) FROM STDIN")
    copy.__enter__()
    kept.append(copy)


def stream_half_read() -> None:
    connection.ensure_connection()
    stream = connection.connection.cursor().stream("SELECT generate_series(1, 9)")
    next(stream)
    kept.append(stream)


def unread_cursor() -> None:
    for _ in range(300):
        write("kept")
    cursor = connection.chunked_cursor()
    cursor.execute("SELECT id FROM runs_thread")
    cursor.fetchone()
    kept.append(cursor)


def connection_of_its_own() -> None:
    own = connections.create_connection("default")
    own.set_autocommit(False)
    with own.cursor() as cursor:
        cursor.execute("UPDATE runs_thread SET metadata = metadata")
    kept.append(own)


def on_another_database() -> None:
    transaction.set_autocommit(False, using=OTHER)
    with connections[OTHER].cursor() as cursor:
        cursor.execute("CREATE TABLE lost (n integer)")


WAYS = [
    autocommit_off,
    autocommit_off_at_the_driver,
    raw_begin,
    atomic_never_left,
    nested_atomics_never_left,
    atomic_in_a_generator,
    failed_transaction,
    atomic_closed_inside,
    marked_for_rollback,
    *([] if connection.vendor == "sqlite" else [copy_never_ended, stream_half_read]),
    unread_cursor,
    connection_of_its_own,
    on_another_database,
]
leaving = pytest.mark.parametrize("leave", WAYS, ids=lambda way: way.__name__)


# --- ways to reach a thread ---------------------------------------------------------------------


def sync_node(leave: Leave) -> Callable[..., Any]:
    def node(state: State) -> None:
        leave()

    return node


def of_step(leave: Leave) -> Callable[..., Any]:
    async def node(state: State, ctx: Context) -> None:
        await ctx.step("leave", lambda: leave() and None)

    return node


def of_pool(leave: Leave) -> Callable[..., Any]:
    def node(state: State) -> None:
        own_pool.submit(leave).result()

    return node


def of_thread(leave: Leave) -> Callable[..., Any]:
    def node(state: State) -> None:
        thread = threading.Thread(target=leave)
        thread.start()
        thread.join()

    return node


def _awaiting(call: Callable[[Leave], Awaitable[Any]]) -> Callable[[Leave], Callable[..., Any]]:
    def made(leave: Leave) -> Callable[..., Any]:
        async def node(state: State) -> None:
            await call(leave)

        return node

    return made


def _swallowing(call: Callable[[Leave], Awaitable[Any]]) -> Callable[[Leave], Callable[..., Any]]:
    def made(leave: Leave) -> Callable[..., Any]:
        async def node(state: State) -> None:
            with suppress(Exception):
                await call(leave)

        return node

    return made


async def by_thread_sensitive(leave: Leave) -> None:
    await sync_to_async(leave)()


async def by_channels(leave: Leave) -> None:
    await database_sync_to_async(leave)()


async def by_default_executor(leave: Leave) -> None:
    await asyncio.get_running_loop().run_in_executor(None, leave)


REACHES: dict[str, Callable[[Leave], Callable[..., Any]]] = {
    "sync_node": sync_node,
    "step": of_step,
    "thread_sensitive": _awaiting(by_thread_sensitive),
    "channels": _awaiting(by_channels),
    "not_thread_sensitive": _awaiting(
        lambda leave: sync_to_async(leave, thread_sensitive=False)(),
    ),
    "to_thread": _awaiting(asyncio.to_thread),
    "default_executor": _awaiting(by_default_executor),
    "swallowed": _swallowing(by_thread_sensitive),
    "pool_of_its_own": of_pool,
    "thread_of_its_own": of_thread,
    "async_pool_of_its_own": _awaiting(
        lambda leave: asyncio.get_running_loop().run_in_executor(own_pool, leave)
    ),
}


def check_that_it_fails_alone(
    start: Callable[..., Run],
    drain: Callable[[], None],
    dirty: Callable[..., Any],
    clean: Callable[[Leave], Callable[..., Any]],
    **options: Any,
) -> dict[str, Any]:
    """A dirty node fails by its own name; those that use its thread afterwards keep what they
    write. Answers the error."""
    first = start(dirty, "dirty", **options)
    others = [start(clean(lambda: write("kept")), "clean") for _ in range(3)]
    drain()
    first.refresh_from_db()
    assert first.status == "failed"
    assert [Run.objects.get(id=run.id).status for run in others] == ["completed"] * 3
    assert "lost" not in written()
    assert written().count("kept") >= 3
    error = dict(first.error)
    assert error["node"] == "dirty"
    return error


@leaving
def test_leftover_of_a_sync_node_fails_it_and_no_other(
    start: Callable[..., Run],
    drain: Callable[[], None],
    leave: Leave,
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = check_that_it_fails_alone(start, drain, sync_node(leave), sync_node)
    assert error["type"] == "LeftOpen"
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert any("Node 'dirty'" in record.getMessage() for record in logged)
    assert not any("Node 'clean'" in record.getMessage() for record in logged)


@pytest.mark.parametrize("reach", REACHES)
@pytest.mark.parametrize("leave", [autocommit_off, raw_begin, atomic_never_left])
def test_leftover_fails_its_node_whatever_thread_it_reaches(
    start: Callable[..., Run], drain: Callable[[], None], reach: str, leave: Leave
) -> None:
    node = REACHES[reach]
    error = check_that_it_fails_alone(start, drain, node(leave), node)
    assert error["type"] == "LeftOpen"


@leaving
def test_leftover_of_a_node_that_raises_is_rolled_back_and_the_error_is_kept(
    start: Callable[..., Run], drain: Callable[[], None], leave: Leave
) -> None:
    def node(state: State) -> None:
        leave()
        raise ValueError("of its own")

    error = check_that_it_fails_alone(start, drain, node, sync_node)
    assert (error["type"], error["message"]) == ("ValueError", "of its own")


def test_leftover_before_a_question_fails_the_node(
    start: Callable[..., Run], drain: Callable[[], None]
) -> None:
    def node(state: State) -> None:
        autocommit_off()
        interrupt("go on?")

    error = check_that_it_fails_alone(start, drain, node, sync_node)
    assert error["type"] == "LeftOpen"


def test_question_in_the_default_executor_waits_though_the_node_caught_it(
    start: Callable[..., Run], drain: Callable[[], None]
) -> None:
    async def node(state: State) -> State:
        asked = asyncio.get_running_loop().run_in_executor(None, interrupt, "?")
        await asyncio.gather(asked, return_exceptions=True)
        return {"log": ["went on"]}

    run = start(node)
    drain()
    run.refresh_from_db()
    assert run.status == "interrupted"


def test_swallowed_leftover_before_a_question_fails_the_node(
    start: Callable[..., Run], drain: Callable[[], None]
) -> None:
    async def node(state: State) -> None:
        with suppress(Exception):
            await by_thread_sensitive(autocommit_off)
        interrupt("go on?")

    error = check_that_it_fails_alone(start, drain, node, sync_node)
    assert error["type"] == "LeftOpen"


def test_leftover_of_a_router_fails_the_node_before_it(
    start: Callable[..., Run], drain: Callable[[], None]
) -> None:
    def route(state: State, ctx: Context) -> str:
        autocommit_off()
        return "__end__"

    graph = StateGraph(State).add_node("dirty", lambda state: None).add_edge(START, "dirty")
    graph.add_conditional_edges("dirty", route, ["__end__"])
    workflows.register("routed", graph.compile(), input_schema={"type": "object"})
    first = create_run(NewRun(workflow="routed", payload={}))
    other = start(sync_node(lambda: write("kept")), "clean")
    drain()
    first.refresh_from_db()
    assert (first.status, dict(first.error)["node"]) == ("failed", "dirty")
    assert Run.objects.get(id=other.id).status == "completed"
    assert written() == ["kept"]


@pytest.mark.parametrize(
    "leave",
    [
        atomic_never_left,
        nested_atomics_never_left,
        atomic_in_a_generator,
        failed_transaction,
        atomic_closed_inside,
        on_another_database,
    ],
)
def test_leftover_of_an_atomic_node_undoes_its_own_transaction(
    start: Callable[..., Run], drain: Callable[[], None], leave: Leave
) -> None:
    def node(state: State) -> None:
        write("lost")
        leave()

    check_that_it_fails_alone(start, drain, node, sync_node, atomic=True)


def test_atomic_node_that_ends_its_own_transaction_fails(
    start: Callable[..., Run], drain: Callable[[], None]
) -> None:
    def node(state: State) -> None:
        with connection.cursor() as cursor:
            cursor.execute("ROLLBACK")

    error = check_that_it_fails_alone(start, drain, node, sync_node, atomic=True)
    assert "ended" in error["message"]


def test_node_with_a_retry_policy_is_tried_again_on_a_clean_connection(
    start: Callable[..., Run], drain: Callable[[], None]
) -> None:
    calls: list[bool] = []

    def node(state: State) -> None:
        calls.append(connection.get_autocommit())
        if len(calls) == 1:
            autocommit_off()
        else:
            write("kept")

    policy = RetryPolicy(max_attempts=2, initial_interval=0.01, retry_on=Exception)
    run = start(node, retry_policy=policy)
    drain()
    run.refresh_from_db()
    assert (run.status, calls, written()) == ("completed", [True, True], ["kept"])


def test_leftover_of_a_node_whose_time_is_up_is_rolled_back_when_its_thread_ends(
    start: Callable[..., Run],
    drain: Callable[[], None],
    caplog: pytest.LogCaptureFixture,
    settings: Settings,
) -> None:
    # A worker whose threads are all held by such nodes ends its process.
    settings.FASTGRAPH = {**settings.FASTGRAPH, "node_threads": 2}

    def node(state: State, ctx: SyncContext) -> None:
        wait_until("the node's time is up", lambda: ctx.cancelled)
        autocommit_off()

    first = start(node, "dirty", timeout=0.05)
    second = start(sync_node(lambda: write("kept")), "clean")
    drain()
    first.refresh_from_db()
    assert (first.status, dict(first.error)["type"]) == ("failed", "NodeTimeoutError")
    assert Run.objects.get(id=second.id).status == "completed"
    wait_until("it is logged", lambda: "Node 'dirty'" in caplog.text)
    assert written() == ["kept"]


def test_block_that_is_left_after_its_call_ends_nobody_elses_transaction(
    start: Callable[..., Run], drain: Callable[[], None]
) -> None:
    def late(state: State) -> None:
        write("lost")
        kept.pop().close()  # leaves the atomic() block of the other node
        raise ValueError("undoes the node's transaction")

    first = start(sync_node(atomic_in_a_generator), "dirty")
    drain()
    second = start(late, "late", atomic=True)
    drain()
    assert [Run.objects.get(id=run.id).status for run in (first, second)] == ["failed"] * 2
    assert written() == []


def test_shared_thread_of_asgiref_is_given_back(
    start: Callable[..., Run], drain: Callable[[], None]
) -> None:
    before = SyncToAsync.single_thread_executor
    threads: list[object] = []

    async def node(state: State) -> None:
        threads.append(SyncToAsync.single_thread_executor)

    start(node)
    drain()
    assert SyncToAsync.single_thread_executor is before
    assert threads != [before]


def test_shared_thread_of_asgiref_is_guarded_until_the_last_loop_is_done() -> None:
    before = SyncToAsync.single_thread_executor
    loops = asyncio.new_event_loop(), asyncio.new_event_loop()
    first, second = (guarded_loop(loop) for loop in loops)
    first.__enter__()
    second.__enter__()
    guarded = SyncToAsync.single_thread_executor
    first.__exit__(None, None, None)
    assert SyncToAsync.single_thread_executor is guarded is not before
    assert guarded.submit(lambda: "still open").result() == "still open"
    second.__exit__(None, None, None)
    assert SyncToAsync.single_thread_executor is before
    for loop in loops:
        loop.close()


def test_node_without_the_orm_opens_no_connection(
    start: Callable[..., Run], drain: Callable[[], None]
) -> None:
    seen: list[int] = []

    def node(state: State) -> None:
        seen.append(len(connections.all(initialized_only=True)))

    start(node, "first")
    start(node, "second")
    drain()
    assert seen == [0, 0]


def test_error_in_a_loop_over_rows_costs_no_connection(
    start: Callable[..., Run], drain: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    connected: list[Any] = []

    def node(state: State) -> None:
        for number in range(10):
            write(f"{number}")
        connected.append(connection.connection)
        for _ in Thread.objects.order_by("id").iterator(chunk_size=2):
            raise ValueError("of its own")

    run = start(node, "first")
    start(sync_node(lambda: connected.append(connection.connection)), "second")
    drain()
    run.refresh_from_db()
    assert dict(run.error)["type"] == "ValueError"
    assert connected[0] is connected[1]
    assert "left" not in caplog.text


def test_connection_that_a_node_closed_is_opened_again(
    start: Callable[..., Run], drain: Callable[[], None]
) -> None:
    def closes(state: State) -> None:
        write("kept")
        connection.close()

    def closes_at_the_driver(state: State) -> None:
        write("kept")
        connection.connection.close()

    runs = [
        start(closes, "first"),
        start(closes_at_the_driver, "second"),
        start(sync_node(lambda: write("kept")), "third"),
    ]
    drain()
    assert [Run.objects.get(id=run.id).status for run in runs] == ["completed"] * 3
    assert written() == ["kept"] * 3


def test_wait_for_the_journal_inside_a_transaction_is_refused_on_sqlite(
    start: Callable[..., Run], drain: Callable[[], None]
) -> None:
    def node(state: State, ctx: SyncContext) -> None:
        ctx.step("before", lambda: None)
        with transaction.atomic():
            write("inside")
            ctx.emit("x" * 100_000)
            ctx.step("inside", lambda: None)

    run = start(node)
    other = start(sync_node(lambda: write("kept")), "other")
    drain()
    run.refresh_from_db()
    assert Run.objects.get(id=other.id).status == "completed"
    if connection.vendor == "sqlite":  # one transaction locks the whole database
        assert run.status == "failed"
        assert "end the transaction first" in run.error["message"]
        assert written() == ["kept"]
    else:
        assert run.status == "completed"
        assert written() == ["inside", "kept"]
