"""The data folder may not be read, or something else is in its place: what is said is true, and who
only asks goes on."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from runs.db.errors import explain
from runs.db.sqlite3 import database_file
from runs.db.sqlite3.base import DatabaseWrapper
from runs.db.sqlite3.database_file import DatabaseFileLost
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from runs.process import slots
from runs.queries.why import causes

NOBODY = 65534


@contextmanager
def ordinary_user() -> Iterator[None]:
    """For root nothing is forbidden."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process has as many files open as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "data"
    path.mkdir()
    yield path
    path.chmod(0o700)


def forbidden(folder: Path) -> None:
    folder.chmod(0)


def a_file(folder: Path) -> None:
    (folder / "slots").touch()


def gone(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("nowhere"))


def back(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
        folder.with_name("elsewhere").rename(folder)
    folder.chmod(0o700)
    if (folder / "slots").is_file():
        (folder / "slots").unlink()


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (forbidden, "Permission denied"),
        (a_file, "File exists"),
        (gone, "No such file or directory"),
    ],
)
def test_slots_that_cannot_be_used_are_not_free(
    folder: Path,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    harm: Callable[[Path], None],
    says: str,
) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "data_dir": folder}
    harm(folder)
    with ordinary_user() if harm is forbidden else nullcontext():
        looked = [slots.free(), slots.free(), slots.spare_free(), slots.acquire()]
        why = slots.fault()
    back(folder)

    assert looked == [False, False, False, None]
    assert says in why and str(folder) in why
    assert caplog.text.count(why) == 1, "once, not with every look"
    assert slots.free() and not slots.fault()


@pytest.mark.django_db
def test_health_and_why_name_slots_that_cannot_be_used(
    api: APIClient, trail: str, folder: Path, settings: Settings
) -> None:
    run = create_run(NewRun(workflow=trail, payload={"input": "x"}))
    settings.FASTGRAPH = {**settings.FASTGRAPH, "data_dir": folder}
    a_file(folder)

    health = api.get("/api/health").json()
    (cause,) = causes(run, timezone.now())

    assert cause.code == "slots_unusable"
    assert "File exists" in cause.detail and str(folder) in cause.detail
    assert health["status"] == "degraded"
    assert health["checks"]["workers"] == {"ok": False, "alive": 0, "detail": cause.detail}


@pytest.fixture
def database(folder: Path, db: None) -> Iterator[Any]:
    """A connection to a file of its own, as the server has it."""
    config = {**connections.settings["default"], "ENGINE": "runs.db.sqlite3"}
    config |= {"NAME": str(folder / "own.sqlite3"), "OPTIONS": {}, "TEST": {}}
    one = DatabaseWrapper(config, "own")
    one.connect()
    yield one
    one.close()


@pytest.mark.django_db
def test_a_file_that_may_not_be_reached_is_not_said_to_be_gone(database: Any, folder: Path) -> None:
    database_file.check_all(database)
    folder.chmod(0)
    path = str(folder / "own.sqlite3")
    askings: list[Callable[[], object]] = [
        lambda: database_file.check(database),
        lambda: database_file.check_after_commit(database),
        lambda: database_file.check_all(database),
        lambda: database_file.prepare(path),
    ]
    for asking in askings:
        with ordinary_user(), pytest.raises(DatabaseFileLost) as lost:
            asking()
        assert f"{path} cannot be reached: Permission denied" in str(lost.value)
        assert "gone" not in str(lost.value)
    folder.chmod(0o700)
    database_file.check_all(database)


def test_a_process_with_too_many_files_is_told_so(folder: Path) -> None:
    path = folder / "own.sqlite3"
    path.touch()
    with pytest.raises(DatabaseFileLost) as lost, no_more_files():
        database_file.require_whole(str(path))
    assert f"cannot be reached: {os.strerror(errno.EMFILE)}" in str(lost.value)
    assert "raise that limit" in str(lost.value) and "Let the user" not in str(lost.value)


@pytest.mark.django_db
def test_a_file_that_is_gone_is_said_to_be_gone(database: Any, folder: Path) -> None:
    (folder / "own.sqlite3").rename(folder / "away")
    with pytest.raises(DatabaseFileLost, match="is gone"):
        database_file.check(database)


@pytest.mark.django_db
def test_a_database_that_refuses_to_be_written_is_explained(database: Any) -> None:
    with database.cursor() as cursor:
        cursor.execute("PRAGMA query_only = ON")
        with pytest.raises(OperationalError) as refused:
            cursor.execute("CREATE TABLE rows (data TEXT)")
    if connection.vendor == "sqlite":
        assert "must be able to read and write" in explain(refused.value)
