"""Whether a database file has all that it counts: seen when a part is cut off, and never taken for
that when SQLite itself is at work on it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runs.db.sqlite3 import database_file
from runs.db.sqlite3.database_pages import has_all_frames, has_all_pages

ROW = "x" * 900


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "own.sqlite3"


@pytest.fixture
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    """A database of some hundred pages, most of them in its file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE few (data TEXT)")
        connection.execute("CREATE TABLE rows (data TEXT)")
        grow(connection)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("INSERT INTO few VALUES ('in the log')")
        yield connection


def grow(connection: sqlite3.Connection, rows: int = 400) -> None:
    with connection:
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO rows VALUES (?)", [(ROW,)] * rows)


def whole(path: Path) -> bool:
    """Both questions at once, as the backend asks them."""
    files = database_file.look(str(path))
    assert files.main is not None
    has_pages = has_all_pages(str(path), files.main, filled=True)
    return has_pages and (files.shared is None or has_all_frames(str(path), files.shared))


@pytest.mark.parametrize("size", [0, 50, 100, 4096, 5000, -4096, -1])
def test_a_file_that_was_cut_short_is_seen(raw: sqlite3.Connection, path: Path, size: int) -> None:
    assert whole(path)
    os.truncate(path, size % path.stat().st_size)
    assert not whole(path)


@pytest.mark.parametrize("size", [0, 10, 32, -1])
def test_a_log_that_was_cut_short_is_seen(raw: sqlite3.Connection, path: Path, size: int) -> None:
    log = path.with_name(path.name + "-wal")
    os.truncate(log, size % log.stat().st_size)
    assert not whole(path)


def vacuum(raw: sqlite3.Connection) -> None:
    raw.execute("DELETE FROM rows")
    raw.execute("VACUUM")
    raw.execute("PRAGMA wal_checkpoint(PASSIVE)")


def begin_the_log_anew(raw: sqlite3.Connection) -> None:
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def checkpoint_beside_a_reader(raw: sqlite3.Connection) -> None:
    (path,) = raw.execute("SELECT file FROM pragma_database_list").fetchone()
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM rows LIMIT 1").fetchall()
        grow(raw)
        raw.execute("PRAGMA wal_checkpoint(PASSIVE)")


@pytest.mark.parametrize(
    "work", [grow, vacuum, begin_the_log_anew, checkpoint_beside_a_reader], ids=lambda f: f.__name__
)
def test_what_sqlite_does_itself_is_no_loss(
    raw: sqlite3.Connection, path: Path, work: Callable[[sqlite3.Connection], object]
) -> None:
    work(raw)
    assert whole(path)
    grow(raw, 3)
    assert whole(path)


def test_nothing_is_missed_while_another_works(raw: sqlite3.Connection, path: Path) -> None:
    ended = threading.Event()
    looks: list[bool] = []

    def look() -> None:
        while not ended.is_set():
            looks.append(whole(path))

    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(20):
        grow(raw)
        begin_the_log_anew(raw)
        vacuum(raw)
    ended.set()
    looking.join()
    assert looks and all(looks)


def test_a_checkpoint_that_was_cut_off_is_no_loss(raw: sqlite3.Connection, path: Path) -> None:
    """Its first page was written, the others are in the log still."""
    grow(raw)
    earlier, log = path.with_name("earlier"), path.with_name("earlier-wal")
    shutil.copy(path, earlier)
    shutil.copy(f"{path}-wal", log)
    raw.execute("PRAGMA wal_checkpoint(PASSIVE)")
    with earlier.open("r+b") as file:
        file.write(path.read_bytes()[:4096])
    key = (earlier.stat().st_dev, earlier.stat().st_ino)

    assert has_all_pages(str(earlier), key, filled=True)
    log.unlink()
    assert not has_all_pages(str(earlier), key, filled=True)


def test_a_file_without_a_log_is_not_judged(raw: sqlite3.Connection, path: Path) -> None:
    """Its first page is written before the others, too, and nothing says that they are to come."""
    raw.execute("PRAGMA journal_mode = DELETE")
    os.truncate(path, path.stat().st_size - 1)
    assert whole(path)


@pytest.mark.processes
def test_to_look_frees_no_lock(raw: sqlite3.Connection, path: Path) -> None:
    """SQLite's locks are the process's: closing any descriptor of the file would free them."""
    raw.execute("BEGIN IMMEDIATE")
    assert whole(path)
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"

    other = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert "database is locked" in other.stderr


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="Linux only")
def test_of_indexes_that_sqlite_has_deleted_none_stays_open(path: Path) -> None:
    """It deletes the index with the last connection."""
    for _ in range(5):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE IF NOT EXISTS rows (data TEXT)")
            grow(connection, 1)
            assert whole(path)
    found = [os.path.realpath(entry.path) for entry in os.scandir("/proc/self/fd")]
    assert len([name for name in found if name.startswith(f"{path}-shm")]) <= 1
