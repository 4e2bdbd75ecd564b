"""Sessions of nodes' connections: what a call changes ends with it, and a connection that the
server ended is replaced."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypedDict

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections, transaction
from django.db.backends.signals import connection_created
from pytest_django import Settings

from artifacts.store import store
from runs import workflows
from runs.db import sessions
from runs.engine import START, Context, StateGraph
from runs.models import Run, Thread
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from tests.support.worker import run_pending

pytestmark = pytest.mark.django_db(transaction=True)


class State(TypedDict, total=False):
    seen: Annotated[list[Any], operator.add]


@pytest.fixture
def run_chain(settings: Settings) -> Iterator[Callable[..., Run]]:
    """Executes a graph of these nodes, one after the other, on one thread of each kind."""
    with workflows.temporary():
        settings.FASTGRAPH = {**settings.FASTGRAPH, "linger_seconds": 0.02, "node_threads": 1}

        def run(*nodes: Callable[..., Any]) -> Run:
            graph, last = StateGraph(State), START
            for number, node in enumerate(nodes):
                graph.add_node(f"n{number}", node).add_edge(last, f"n{number}")
                last = f"n{number}"
            workflows.register("chain", graph.compile(), input_schema={"type": "object"})
            created = create_run(NewRun(workflow="chain", payload={}))
            run_pending()
            created.refresh_from_db()
            return created

        yield run


def ask(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0] if cursor.description else None


POSTGRES = [
    ("SET statement_timeout = 4321", "SHOW statement_timeout", "4321ms"),
    ("/* why */ set search_path = nowhere", "SHOW search_path", "nowhere"),
    ("SELECT set_config('work_mem', '4321kB', false)", "SHOW work_mem", "4321kB"),
    ("CREATE TEMP TABLE mine (n int)", "SELECT to_regclass('pg_temp.mine')::text", "mine"),
    ("LISTEN mine", "SELECT count(*) FROM pg_listening_channels()", 1),
    ("PREPARE mine AS SELECT 1", "SELECT count(*) FROM pg_prepared_statements", 1),
    (
        "SELECT pg_advisory_lock(4321)",
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4321",
        1,
    ),
]
SQLITE = [
    ("PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys", 0),
    (
        "CREATE TEMP TABLE mine (n int)",
        "SELECT count(*) FROM temp.sqlite_master WHERE name = 'mine'",
        1,
    ),
]


@pytest.mark.parametrize(("change", "question", "changed"), [*POSTGRES, *SQLITE])
def test_session_state_of_a_call_ends_with_it(
    run_chain: Callable[..., Run], change: str, question: str, changed: Any
) -> None:
    cases = SQLITE if connection.vendor == "sqlite" else POSTGRES
    if (change, question, changed) not in cases:
        pytest.skip("for the other database")

    def changes(state: State) -> State:
        ask(change)
        return {"seen": [ask(question) == changed]}

    async def changes_on_the_shared_thread(state: State) -> State:
        return await sync_to_async(changes)(state)

    def looks(state: State) -> State:
        return {"seen": [ask(question) == changed]}

    async def looks_on_the_shared_thread(state: State) -> State:
        return await sync_to_async(looks)(state)

    run = run_chain(changes, looks, changes_on_the_shared_thread, looks_on_the_shared_thread)
    assert (run.status, run.error) == ("completed", None)
    assert seen_by(run) == [True, False, True, False]


def seen_by(run: Run) -> Any:
    from artifacts.models import Artifact

    artifact = Artifact.objects.get(run=run, name="result.json")
    with store().open(artifact.sha256) as file:
        import orjson

        return orjson.loads(file.read())["seen"]


@pytest.mark.parametrize(
    ("sql", "outlives"),
    [
        ("SET LOCAL statement_timeout = 1", False),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", False),
        ("SET CONSTRAINTS ALL IMMEDIATE", False),
        ("SELECT pg_advisory_xact_lock(1)", False),
        ("UPDATE t SET a = 'set_'", False),
        ("SELECT 1; SELECT 2;", False),
        ("INSERT INTO t (a) VALUES (1)", False),
        ("SELECT 1; SET search_path TO pg_catalog", True),
        (";SET statement_timeout='77s'", True),
        ("INSERT INTO t SELECT pg_advisory_lock(5)", True),
        ("INSERT INTO t VALUES (1);\nRESET ALL", True),
        ("CREATE TABLE t (a int); CREATE TEMP TABLE u (a int)", True),
        ("SELECT 1 INTO\n TEMP u", True),
        ("DO $$ BEGIN SET work_mem = '1MB'; END $$", True),
        ("CALL changes()", True),
        ('SELECT "t"."settings" FROM "t"', False),
        ("  -- a comment\n  SET ROLE somebody", True),
        ("RESET ALL", True),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", True),
        ("SELECT * INTO TEMP mine FROM t", True),
        ("SELECT pg_try_advisory_lock_shared(1)", True),
        ("ATTACH 'other' AS other", True),
    ],
)
def test_statement_is_known_to_outlive_its_transaction(sql: str, outlives: bool) -> None:
    assert sessions.changes_session(sql, connection) is outlives


def test_connection_that_the_server_ended_is_replaced_before_the_next_call(
    run_chain: Callable[..., Run],
) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no server")
    pids: list[int] = []

    def uses(state: State) -> None:
        Thread.objects.count()
        pids.append(connection.connection.info.backend_pid)

    async def uses_shared(state: State) -> None:
        await sync_to_async(uses)(state)

    async def uses_step(state: State, ctx: Context) -> None:
        await ctx.step("uses", lambda: uses(state))

    def end_all() -> None:
        ended = list(pids)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s) AS pid", [ended])
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)", [ended])

    async def ends(state: State) -> None:
        await asyncio.to_thread(end_all)

    users = (uses, uses_shared, uses_step)
    run = run_chain(*users, ends, *users)
    assert (run.status, run.error) == ("completed", None)
    first, second = pids[:3], pids[3:]
    assert not set(first) & set(second)


def test_connection_is_kept_from_call_to_call(run_chain: Callable[..., Run]) -> None:
    connected: list[Any] = []

    def uses(state: State) -> None:
        with transaction.atomic():
            Thread.objects.create()
        connected.append(connection.connection)

    run = run_chain(uses, uses, uses)
    assert run.status == "completed"
    assert connected[0] is connected[1] is connected[2]


@pytest.mark.parametrize("by", ["environment", "node"])
def test_leftover_on_the_event_loop_s_thread_fails_its_node(
    run_chain: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    if by == "environment":
        monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")

    async def leaves(state: State) -> None:
        monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        transaction.set_autocommit(False)
        Thread.objects.create(metadata={"name": "lost"})

    run = run_chain(leaves)
    assert (run.status, dict(run.error)["type"]) == ("failed", "LeftOpen")
    assert Thread.objects.get().metadata == {}  # the run's own is the only one


def block(*call: Any) -> Any:
    raise RuntimeError("no statement passes")


@pytest.mark.parametrize("how", ["entered", "appended", "in a step", "on the shared thread"])
def test_an_execute_wrapper_that_is_left_fails_its_node_alone(
    run_chain: Callable[..., Run], caplog: pytest.LogCaptureFixture, how: str
) -> None:
    held: list[Any] = []

    used_connections: list[Any] = []

    def leave() -> None:
        Thread.objects.count()
        used_connections.append(connections["default"])
        if how == "appended":
            connection.execute_wrappers.append(block)
        else:
            held.append(connection.execute_wrapper(block))
            held[-1].__enter__()

    async def leaves(state: State, ctx: Context) -> None:
        if how == "in a step":
            await ctx.step("leave", leave)
        else:
            await sync_to_async(leave)()

    def leaves_itself(state: State) -> None:
        leave()

    run = run_chain(leaves if how in ("in a step", "on the shared thread") else leaves_itself)
    assert (run.status, dict(run.error)["type"]) == ("failed", "LeftOpen")
    assert "an execute_wrapper in place" in dict(run.error)["message"]
    assert "'n0'" in caplog.text

    (used,) = used_connections
    assert block not in used.execute_wrappers
    for one in held:
        one.__exit__(None, None, None)  # later than its call: it takes nobody else's away


def test_an_execute_wrapper_that_an_app_hangs_on_connections_stays(
    run_chain: Callable[..., Run],
) -> None:
    seen: list[str] = []

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        seen.append(sql)
        return execute(sql, *rest)

    def hang(*, connection: Any, **_: Any) -> None:
        if note not in connection.execute_wrappers:
            connection.execute_wrappers.append(note)

    def uses(state: State) -> None:
        with connection.execute_wrapper(lambda execute, *call: execute(*call)):
            Thread.objects.count()

    connection_created.connect(hang)
    try:
        run = run_chain(uses, uses)
    finally:
        connection_created.disconnect(hang)
        connection.execute_wrappers[:] = []
    assert (run.status, run.error) == ("completed", None)
    assert sum("COUNT" in sql for sql in seen) >= 2
