"""What the server stores is for its owner alone, and it says so where it is not."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from artifacts.store import FileStore
from fastgraph_site.environment import BASE_DIR, make_folder
from runs.db.guard import open_transactions
from runs.db.guard.open_transactions import OpenTransaction
from runs.db.sqlite3 import database_file
from runs.db.sqlite3.private_files import stored_data_is_private
from runs.engine.concurrency.thread_pool import Pool
from runs.process import reports
from runs.scheduling import stalls
from runs.scheduling.stalls import Standstill


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "data"
    make_folder(found)
    settings.FASTGRAPH = {**settings.FASTGRAPH, "data_dir": found}
    monkeypatch.setattr(database_file, "path_of", lambda _: str(found / "f.sqlite3"))
    return found


def test_what_is_made_is_closed(folder: Path) -> None:
    assert mode(folder) == 0o700
    files = FileStore(folder / "artifacts")
    path = files.path(files.write(b"data").sha256)
    assert [mode(one) for one in (path, *list(path.parents)[:3])] == [0o600, 0o700, 0o700, 0o700]
    assert stored_data_is_private() == []


def test_the_folder_of_a_fresh_clone_is_closed(tmp_path: Path) -> None:
    clone, own = tmp_path / "clone", tmp_path / "own"
    for path in (clone, own):
        path.mkdir()
        path.chmod(0o755)
    (clone / ".gitignore").write_text("*")

    make_folder(clone)
    make_folder(own)

    assert (mode(clone), mode(own)) == (0o700, 0o755), "somebody's own folder stays as it is"


@pytest.mark.processes
def test_a_folder_that_is_open_is_named_with_what_closes_it(folder: Path) -> None:
    folder.chmod(0o755)
    database = folder / "f.sqlite3"
    database.touch(0o644)
    key = folder / "secret_key"
    key.touch(0o600)

    found = stored_data_is_private()

    assert [one.id for one in found] == ["runs.W002", "runs.W002"]
    assert found[0].msg == (
        f"Other users of this machine can read {folder}, where runs are stored."
    )
    for message in found:
        assert message.hint is not None
        subprocess.run(message.hint.removeprefix("Run: "), shell=True, check=True)
    assert stored_data_is_private() == []
    assert (mode(folder), mode(database)) == (0o700, 0o600)


def test_files_in_a_closed_folder_are_closed(folder: Path) -> None:
    (folder / "f.sqlite3").touch(0o644)

    assert stored_data_is_private() == []


@pytest.mark.processes
def test_a_database_elsewhere_is_looked_at(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "it's here.sqlite3"
    path.touch()
    path.chmod(0o666)
    monkeypatch.setattr(database_file, "path_of", lambda _: str(path))

    (found,) = stored_data_is_private()

    assert found.msg.startswith("Other users of this machine can change ")
    assert found.hint is not None
    subprocess.run(found.hint.removeprefix("Run: "), shell=True, check=True)
    assert mode(path) == 0o600


@pytest.mark.processes
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=["open", "usual", "closed"])
def test_a_new_installation_is_closed_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    folder = tmp_path / "new"
    env = {**os.environ, "FASTGRAPH_DATA_DIR": str(folder), "DATABASE_URL": ""}
    env.pop("DJANGO_SETTINGS_MODULE", None)
    told = subprocess.run(
        [sys.executable, "manage.py", "migrate", "runs", "0001", "--verbosity", "0"],
        cwd=BASE_DIR,
        env=env,
        umask=umask,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
    made = {path.name: mode(path) for path in (folder, *folder.iterdir())}
    assert made == {"new": 0o700, "fastgraph.sqlite3": 0o600, "secret_key": 0o600}
    shutil.rmtree(folder)


STANDSTILL = Standstill(
    kind="loop_stands_still",
    worker="w",
    run_id="",
    seconds=9.0,
    detail="A node blocks.",
    process="elsewhere:1",
)
TRANSACTION = OpenTransaction(
    holder="somebody",
    database="default",
    locks_whole_database=True,
    seconds=9.0,
    run_id="",
    node="",
    process="elsewhere:1",
)


@pytest.mark.parametrize(
    ("module", "report"),
    [
        pytest.param(stalls, STANDSTILL, id="standstills"),
        pytest.param(open_transactions, TRANSACTION, id="transactions"),
    ],
)
def test_reports_are_private_and_may_be_out_of_reach(
    folder: Path, module: Any, report: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = reports.folder_of(module._KIND) / "host-1.json"
    reports.publish(path, [report])
    assert (mode(path.parent), mode(path)) == (0o700, 0o600)
    assert module.published() == [report]

    def denied(_: object) -> None:  # also of root
        raise PermissionError

    monkeypatch.setattr(os, "scandir", denied)
    assert module.published() == [], "health and the answer for an error ask it"


def test_reports_of_workers_that_died_are_removed(folder: Path) -> None:
    paths = [reports.folder_of(kind) / "host-1.json" for kind in ("standstills", "thread_waits")]
    for path in paths:
        reports.publish(path, [STANDSTILL])
        os.utime(path, (0, 0))
    loop = asyncio.new_event_loop()
    stalls.Watch(loop, Pool(1))
    loop.close()
    assert not any(path.exists() for path in paths)
