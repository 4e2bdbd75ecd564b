"""Migrated databases: each is a copy of one template, which a test session makes once."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
from django.apps import apps
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from fastgraph_site.environment import BASE_DIR

MADE_BY_MIGRATE = frozenset({"auth_permission", "django_content_type", "django_migrations"})
FILE = "fastgraph.sqlite3"


@contextmanager
def own_database(*, migrated: bool = True) -> Iterator[str]:
    """The DATABASE_URL for one server: a database of its own where the tests run on Postgres,
    empty (SQLite in its data folder) elsewhere. On Postgres it has all tables, unless `migrated`
    is false; on SQLite `provide_tables` makes the file."""
    base, _, name = os.environ["DATABASE_URL"].rpartition("/")
    if not base.startswith("postgres"):
        yield ""
        return
    own = f"{name}_{uuid.uuid4().hex[:8]}"
    source = postgres_template() if migrated else "template1"
    _create(base, own, source)
    try:
        yield f"{base}/{own}"
    finally:
        _drop(base, own)


def provide_tables(env: Mapping[str, str]) -> None:
    """Puts a migrated SQLite file where a server with the environment `env` expects one, if there
    is none or an empty one. Does nothing on Postgres: `own_database` has made the tables."""
    url = env["DATABASE_URL"]
    if url and not url.startswith("sqlite:///"):
        return
    path = Path(url.removeprefix("sqlite:///") or Path(env["FASTGRAPH_DATA_DIR"]) / FILE)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists() or path.stat().st_size == 0:
        copy_sqlite_template(path)  # also through a symbolic link


def copy_sqlite_template(path: Path) -> None:
    """Copies the migrated SQLite file to `path`."""
    shutil.copyfile(_sqlite_template(), path)
    path.chmod(0o600)


def postgres_template() -> str:
    """The name of a migrated database, which nobody is connected to."""
    base, _, name = os.environ["DATABASE_URL"].rpartition("/")
    template = _template_name(name)
    with _once("postgres") as first:
        if first:
            _drop(base, template)
            _create(base, template, "template1")
            _migrate(DATABASE_URL=f"{base}/{template}")
    return template


def drop_template() -> None:
    """Drops the template of this session, if it made one on Postgres."""
    if _marker("postgres").exists():
        base, _, name = os.environ["DATABASE_URL"].rpartition("/")
        _drop(base, _template_name(name))
        _marker("postgres").unlink()


def empty_tables(connection: BaseDatabaseWrapper) -> None:
    """Deletes every row that a test may have made, in one transaction.

    Django's own `flush` truncates the tables on Postgres, which makes new files (0.6 s a test), and
    makes all content types and permissions anew; those stay here, as `migrate` made them.
    """
    models = apps.get_models(include_auto_created=True, include_swapped=True)
    tables = {m._meta.db_table for m in models if not m._meta.proxy} - MADE_BY_MIGRATE
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL synchronous_commit TO off")
        for table in sorted(tables):
            cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")


def _template_name(database: str) -> str:
    return f"{database or 'postgres'}_template_{os.environ['FASTGRAPH_TEST_ROOT'][-8:]}".lower()


def _sqlite_template() -> Path:
    folder = _root() / "template"
    with _once("sqlite") as first:
        if first:
            folder.mkdir(mode=0o700)
            _migrate(DATABASE_URL="", FASTGRAPH_DATA_DIR=str(folder))
            assert not (folder / f"{FILE}-wal").exists(), "the template is not closed"
    return folder / FILE


def _migrate(**env: str) -> None:
    ours = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=BASE_DIR,
        env={**ours, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _root() -> Path:
    """The folder of this test session, which all its processes share."""
    return Path(os.environ["FASTGRAPH_TEST_ROOT"])


def _marker(template: str) -> Path:
    return _root() / f"{template}.template"


@contextmanager
def _once(template: str) -> Iterator[bool]:
    """True for the first process of the session that comes here; the others wait for it."""
    marker = _marker(template)
    if marker.exists():
        yield False
        return
    with (_root() / f"{template}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        first = not marker.exists()
        yield first
        if first:
            marker.touch()


def _create(base: str, name: str, source: str) -> None:
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(source)))


def _drop(base: str, name: str) -> None:
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        connection.execute(drop.format(sql.Identifier(name)))
