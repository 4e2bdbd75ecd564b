"""One way to wait for a database that is away, and nothing else that catches its errors."""

from __future__ import annotations

import ast
import asyncio
import logging
import time
from collections.abc import Callable, Iterator

import pytest
from django.db import (
    DataError,
    Error,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
    connection,
)

from fastgraph_site.environment import BASE_DIR
from runs.db import retry
from runs.db.retry import Outage, on_connection, while_away, while_away_async
from runs.models import Thread

#: Errors of databases that nothing outside `runs.db` may name in an `except`, or in `suppress`.
NAMES = {"Error", "DatabaseError", "OperationalError", "InterfaceError", "InternalError"}
#: Files that may, and why.
REASONS = {
    "runs/db/sqlite3/database_file.py": "opens the file at the start, and only logs",
    "runs/notify/changes.py": "a counter that is locked has moved, for sqlite3 itself",
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE_SECONDS", 0.0001)
    monkeypatch.setattr(retry, "LONGEST_PAUSE_SECONDS", 0.0002)


class Failing:
    """Raises each of these errors once, and answers then."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def cut_off() -> Error:
    error = InternalError("idle-in-transaction timeout")
    error.__cause__ = type("CutOff", (Exception,), {"sqlstate": "25P03"})()
    return error


AWAY: list[Callable[[], Error]] = [
    lambda: OperationalError("database is locked"),
    lambda: InterfaceError("connection already closed"),
    cut_off,
]


@pytest.mark.parametrize("away", AWAY, ids=["locked", "interface", "cut off"])
def test_call_is_repeated_until_it_answers(
    away: Callable[[], Error], caplog: pytest.LogCaptureFixture, db: None
) -> None:
    call = Failing(away(), away(), away())
    with caplog.at_level(logging.WARNING, "fastgraph.database"):
        assert while_away(call, who="this test") == "answer"
    assert call.calls == 4
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2, "one when it begins, and one when it ends"
    assert "this test waits for it" in lines[0] and "this test goes on" in lines[1]


@pytest.mark.parametrize("away", AWAY, ids=["locked", "interface", "cut off"])
def test_async_call_is_repeated_until_it_answers(away: Callable[[], Error]) -> None:
    call = Failing(away(), away())

    async def query() -> str:
        return call()

    assert asyncio.run(while_away_async(query, outage=Outage("this test"))) == "answer"
    assert call.calls == 3


@pytest.mark.parametrize("kind", [DataError, ProgrammingError, ValueError])
def test_what_fails_each_time_is_raised_at_once(kind: type[Exception]) -> None:
    call = Failing(kind("x"))
    with pytest.raises(kind):
        while_away(call, who="this test")
    assert call.calls == 1


def test_caller_may_stop_or_give_up() -> None:
    stopping, late = (Failing(*[OperationalError("x")] * 9) for _ in range(2))
    with pytest.raises(OperationalError):
        while_away(stopping, who="x", stopping=lambda: stopping.calls == 3)
    assert stopping.calls == 3
    with pytest.raises(OperationalError):
        while_away(late, who="x", give_up_at=time.monotonic() - 1)
    assert late.calls == 1


def test_unless_away_answers_otherwise_after_any_error(db: None) -> None:
    outage = Outage("this test")
    call = Failing(InterfaceError("x"), DataError("x"))
    assert [outage.unless_away(call, "otherwise") for _ in range(3)] == [
        "otherwise",
        "otherwise",
        "answer",
    ]
    with pytest.raises(ValueError):
        outage.unless_away(Failing(ValueError("x")), "otherwise")


@pytest.mark.django_db(transaction=True)
def test_connection_that_was_closed_below_django_is_replaced() -> None:
    """The driver's InterfaceError or OperationalError, as after a restart of the server."""
    Thread.objects.create()
    calls: list[int] = []

    def count() -> int:
        calls.append(1)
        if len(calls) == 1:
            connection.connection.close()
        return Thread.objects.count()

    if connection.vendor == "sqlite":  # for which a closed connection is a mistake of the program
        pytest.skip("SQLite has no server that goes away")
    assert while_away(count, who="this test") == 1
    assert len(calls) == 2


@pytest.mark.django_db(transaction=True)
def test_connection_stays_after_an_error_that_is_no_outage() -> None:
    Thread.objects.create()
    before = connection.connection
    with pytest.raises(DataError):
        on_connection(Failing(DataError("x")))
    assert connection.connection is before


def catches(text: str) -> Iterator[str]:
    """The names that `except` and `suppress` have in a file."""
    for node in ast.walk(ast.parse(text)):
        kinds: list[ast.expr] = []
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            kinds = node.args
        yield from (ast.unparse(kind).rpartition(".")[2] for kind in kinds)


def database_names(text: str) -> set[str]:
    """Those of NAMES that a file has from Django or a driver, under its own names."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module in ("django.db", "django.db.utils"):
            found |= {a.asname or a.name for a in node.names if a.name in NAMES}
        if isinstance(node, ast.Import):
            found |= NAMES if {"psycopg", "sqlite3"} & {a.name for a in node.names} else set()
    return found


def test_nothing_else_catches_errors_of_the_database() -> None:
    found = set()
    for folder in ("runs", "streaming", "artifacts", "fastgraph_site"):
        for path in (BASE_DIR / folder).rglob("*.py"):
            name = str(path.relative_to(BASE_DIR))
            text = path.read_text()
            if not name.startswith("runs/db/") and database_names(text) & set(catches(text)):
                found.add(name)
    assert found - REASONS.keys() == set()


def test_the_scan_finds_catches() -> None:
    text = "from django.db import Error as Fault\ntry: ...\nexcept (ValueError, Fault): ..."
    assert database_names(text) & set(catches(text)) == {"Fault"}
    text = "import psycopg\nwith suppress(psycopg.OperationalError): ..."
    assert database_names(text) & set(catches(text)) == {"OperationalError"}
