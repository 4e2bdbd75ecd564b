"""One dialect a database, one fast transaction on both, and nothing outside `runs.db` that asks
which database it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django_q.models import OrmQ

from fastgraph_site.environment import BASE_DIR
from runs import checks
from runs.db import postgres_pipeline
from runs.db.columns import text_literal
from runs.db.compiled import CompiledQuery
from runs.db.dialect import DIALECTS, UnsupportedDatabase, dialect, dialect_or_none
from runs.db.error_kinds import ErrorKind
from runs.db.errors import error_kind
from runs.db.statements import fetch, insert, update
from runs.db.transaction import fast_transaction
from runs.models import Thread

#: What only a dialect may say, and what a scan of the code finds of it.
BRANCH = re.compile(
    r"""\.vendor\b|connection\.features\b|["'](sqlite|postgresql)["']|\bsqlite_errorcode\b"""
    r"|^\s*(import|from) (sqlite3|psycopg)\b",
    re.MULTILINE,
)
#: Files that are for one database, or that stand below the dialects, and why.
FOR_ONE_DATABASE = {
    "runs/db/sqlite3/database_file.py": "SQLite's files; the dialect of SQLite is built on it",
    "runs/db/sqlite3/base.py": "Django's backend of SQLite, on watched files",
    "runs/db/sessions.py": "what user code changes in a session; the drivers' kinds of cursors",
    "runs/notify/changes.py": "has the listener of each database, below `runs.db`",
    "fastgraph_site/settings.py": "names Django's engines, before there is a connection",
}


def sources() -> Iterator[tuple[str, str]]:
    for folder in ("runs", "streaming", "artifacts", "fastgraph_site"):
        for path in sorted((BASE_DIR / folder).rglob("*.py")):
            name = str(path.relative_to(BASE_DIR))
            if not name.startswith("runs/db/") and "/migrations/" not in name:
                yield name, path.read_text()


def test_code_outside_runs_db_asks_for_no_vendor() -> None:
    found = {name for name, text in sources() if BRANCH.search(text)}
    assert found - FOR_ONE_DATABASE.keys() == set()


def test_the_scan_finds_branches() -> None:
    for line in (
        'if connection.vendor == "x":',
        'if kind == "sqlite":',
        "import psycopg",
        "connection.features.has_select_for_update",
    ):
        assert BRANCH.search(line)


def of_vendor(vendor: str) -> BaseDatabaseWrapper:
    engine = f"django.db.backends.{vendor}"
    made = SimpleNamespace(vendor=vendor, settings_dict={"ENGINE": engine})
    return cast(BaseDatabaseWrapper, made)


@pytest.mark.parametrize("vendor", ["mysql", "oracle"])
def test_unknown_database_is_refused_with_a_sentence(
    vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = of_vendor(vendor)
    with pytest.raises(UnsupportedDatabase, match="only SQLite and Postgres are supported"):
        dialect(unknown)
    assert dialect_or_none(unknown) is None
    monkeypatch.setattr(checks, "connections", {"default": unknown})
    (error,) = checks.database_is_supported()
    assert (error.id, vendor in error.msg) == ("runs.E001", True)
    assert checks.database_is_sound(["default"]) == []


@pytest.mark.parametrize("name", DIALECTS)
def test_literals_keep_percent_signs_and_quotes(name: str) -> None:
    value = r"100%s of 'it'"
    statement, left = DIALECTS[name].bind("SELECT %s, '5%%' WHERE x = %s", [value, "b"])
    # As the driver puts them in.
    assert (statement % tuple(left)).replace("''", "'") == (
        "SELECT '100%s of 'it'', '5%' WHERE x = 'b'"
        if name == "postgresql"
        else f"SELECT {value}, '5%' WHERE x = b"
    )


def test_text_literal_refuses_what_databases_read_differently() -> None:
    assert text_literal("it's 5%") == "'it''s 5%%'"
    with pytest.raises(ValueError):
        text_literal("a\\b")


def test_driver_sql_of_sqlite_keeps_percent_signs() -> None:
    assert DIALECTS["sqlite"].driver_sql("x LIKE '5%%' AND y = %s") == "x LIKE '5%' AND y = ?"


@pytest.mark.django_db(transaction=True)
def test_compiled_query_finds_text_with_percent_signs() -> None:
    for key in ("50%s", "50%%", "it's"):
        OrmQ.objects.create(key=key, payload="", lock=None)
    for key in ("50%s", "50%%", "it's"):
        query = CompiledQuery(lambda key=key: OrmQ.objects.filter(key=key).values_list("key"))  # type: ignore[misc]
        assert query.rows(5) == [(key,)]


def cause(**fields: Any) -> Exception:
    return cast(Exception, type("DriverError", (Exception,), fields)())


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"sqlite_errorcode": 13}, ErrorKind.FULL),
        ({"sqlite_errorcode": 5 | 1 << 8}, ErrorKind.LOCKED),
        ({"sqlite_errorcode": 11}, ErrorKind.DAMAGED),
        ({"sqlstate": "53100"}, ErrorKind.FULL),
        ({"sqlstate": "57P01"}, ErrorKind.UNREACHABLE),
        ({"sqlstate": "54000"}, ErrorKind.TOO_LARGE),
        ({"sqlstate": "25P03"}, ErrorKind.ENDED),
        ({}, ErrorKind.OTHER),
    ],
)
def test_error_kind_of_each_driver(fields: dict[str, Any], kind: ErrorKind) -> None:
    error = OperationalError("x")
    error.__cause__ = cause(**fields)
    assert error_kind(error) is kind


COLUMNS = ("id", "metadata", "created_at", "updated_at")


def row(thread: Thread, text: str = "{}") -> list[Any]:
    known = dialect(connection)
    times = [known.time(thread.created_at)] * 2
    return [known.id(str(thread.id)), text, *times]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("count", [1, postgres_pipeline.PIPELINE_MAX_ROWS + 1])
class TestFastTransaction:
    """The ORM, `fetch`, savepoints and hooks work in it, however much is written."""

    def test_reads_see_what_was_written_before(self, count: int) -> None:
        with fast_transaction(connection):
            insert(connection, Thread, COLUMNS, [row(Thread()) for _ in range(count)])
            assert Thread.objects.count() == count
            insert(connection, Thread, COLUMNS, [row(Thread())])
            query = 'SELECT COUNT(*) FROM "runs_thread"'
            assert fetch(connection, query, []) == [(count + 1,)]
            Thread.objects.create()
        assert Thread.objects.count() == count + 2
        assert not connection.in_atomic_block and connection.get_autocommit()

    def test_hooks_are_called_after_the_commit_alone(self, count: int) -> None:
        called: list[bool] = []
        with fast_transaction(connection):
            transaction.on_commit(lambda: called.append(connection.in_atomic_block))
            insert(connection, Thread, COLUMNS, [row(Thread()) for _ in range(count)])
            assert called == []
        assert called == [False]
        with pytest.raises(ZeroDivisionError), fast_transaction(connection):
            transaction.on_commit(lambda: called.append(True))
            insert(connection, Thread, COLUMNS, [row(Thread())])
            raise ZeroDivisionError
        assert (called, Thread.objects.count()) == ([False], count)

    def test_savepoints_undo_what_is_in_them(self, count: int) -> None:
        thread = Thread.objects.create()
        with fast_transaction(connection):
            insert(connection, Thread, COLUMNS, [row(Thread()) for _ in range(count)])
            with pytest.raises(IntegrityError), transaction.atomic():
                Thread.objects.create(id=thread.id)
            Thread.objects.create()
        assert Thread.objects.count() == count + 2

    def test_error_of_a_write_leaves_nothing(self, count: int) -> None:
        thread = Thread.objects.create()
        rows = [row(Thread()) for _ in range(count)]
        with pytest.raises(IntegrityError), fast_transaction(connection):
            insert(connection, Thread, COLUMNS, rows)
            insert(connection, Thread, COLUMNS, [row(thread)])
        assert Thread.objects.count() == 1
        with fast_transaction(connection):
            insert(connection, Thread, COLUMNS, rows)
            known = dialect(connection)
            update(connection, Thread, ("metadata",), [['{"a": 1}', known.id(str(thread.id))]])
        assert Thread.objects.get(id=thread.id).metadata == {"a": 1}

    def test_swallowed_error_commits_nothing(self, count: int) -> None:
        thread = Thread.objects.create()
        with (
            pytest.raises((transaction.TransactionManagementError, DataError)),
            fast_transaction(connection),
        ):
            insert(connection, Thread, COLUMNS, [row(Thread()) for _ in range(count)])
            with pytest.raises(IntegrityError), transaction.atomic(savepoint=False):
                Thread.objects.create(id=thread.id)
        assert Thread.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_fast_transaction_inside_another_is_a_savepoint() -> None:
    with transaction.atomic():
        with pytest.raises(ZeroDivisionError), fast_transaction(connection):
            insert(connection, Thread, COLUMNS, [row(Thread())])
            raise ZeroDivisionError
        Thread.objects.create()
    assert Thread.objects.count() == 1


def test_path_of_base_dir_is_scanned() -> None:
    assert len(list(sources())) > 100 and Path(BASE_DIR, "runs", "db").is_dir()
