"""Pipes between the processes of one host: written by the others, gone with their reader."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from django.db import connection, transaction

from fastgraph_site.environment import BASE_DIR
from runs.db.transaction import fast_transaction
from runs.models import Thread
from runs.notify import changes, pipes
from runs.notify.pipes import PipeListener, PipeNotifier
from streaming.listening.database import DatabaseChanges
from tests.support.processes import wait_until

SECONDS = 30.0


def in_another_process(what: str, home: Path) -> subprocess.Popen[bytes]:
    code = (
        "import sys, pathlib; from runs.notify.pipes import *;"
        f" home = pathlib.Path(sys.argv[1]); {what}"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(home)], cwd=BASE_DIR, stdin=subprocess.PIPE
    )


def another_process_notifies(home: Path) -> None:
    with in_another_process("PipeNotifier(home).notify()", home) as process:
        assert process.wait(SECONDS) == 0


@pytest.fixture
def notifier(tmp_path: Path) -> Iterator[PipeNotifier]:
    with closing(PipeNotifier(tmp_path)) as notifier:
        yield notifier


@pytest.mark.processes
def test_notification_of_another_process_is_read_once(tmp_path: Path) -> None:
    with closing(PipeListener(tmp_path)) as pipe:
        assert not pipe.wait(0)
        another_process_notifies(tmp_path)
        assert pipe.wait(0)
        assert pipe.drain() is True
        assert not pipe.wait(0)


@pytest.mark.processes
def test_notification_says_whether_a_run_may_have_ended(tmp_path: Path) -> None:
    with closing(PipeListener(tmp_path)) as pipe:
        for calls, ended in (
            ("notify(ended=False)", False),
            ("notify()", True),
            ("notify(ended=False); notify(); notify(ended=False)", True),
        ):
            what = "; ".join(f"notifier.{call}" for call in calls.split("; "))
            code = f"notifier = PipeNotifier(home); {what}"
            with in_another_process(code, tmp_path) as process:
                assert process.wait(SECONDS) == 0
            assert pipe.drain() is ended
            assert pipe.drain() is None


@pytest.mark.processes
def test_full_pipe_counts_as_an_end(tmp_path: Path) -> None:
    with closing(PipeListener(tmp_path)) as pipe:
        what = (
            "notifier = PipeNotifier(home); [notifier.notify(ended=False) for _ in range(70_000)]"
        )
        with in_another_process(what, tmp_path) as process:
            assert process.wait(SECONDS) == 0
        assert pipe.drain() is True
        assert pipe.drain() is None


def test_own_ends_are_written_only_where_requested(tmp_path: Path, notifier: PipeNotifier) -> None:
    with (
        closing(PipeListener(tmp_path, own_ends=True)) as pipe,
        closing(PipeListener(tmp_path)) as other,
    ):
        notifier.notify(ended=False)
        assert not pipe.wait(0)
        notifier.notify()
        assert pipe.drain() is True
        assert not other.wait(0)


@pytest.mark.processes
def test_pipes_of_others_are_written_but_not_own(tmp_path: Path, notifier: PipeNotifier) -> None:
    with closing(PipeListener(tmp_path)) as own:
        notifier.notify()
        assert not own.wait(0)
        what = "pipe = PipeListener(home); sys.exit(not pipe.wait(30))"
        with in_another_process(what, tmp_path) as process:
            wait_until("it listens", lambda: len(_names(tmp_path)) == 2)
            notifier.notify()
            assert process.wait(SECONDS) == 0
        assert not own.wait(0)


@pytest.mark.processes
def test_listener_that_starts_later_is_found(tmp_path: Path, notifier: PipeNotifier) -> None:
    notifier.notify()
    what = "pipe = PipeListener(home); sys.exit(not pipe.wait(30))"
    with in_another_process(what, tmp_path) as process:
        wait_until("it listens", lambda: bool(_names(tmp_path)))
        notifier.notify()
        assert process.wait(SECONDS) == 0


@pytest.mark.processes
def test_pipe_of_a_killed_process_is_removed(tmp_path: Path, notifier: PipeNotifier) -> None:
    for known in (False, True):
        with in_another_process("pipe = PipeListener(home); input()", tmp_path) as process:
            wait_until("it listens", lambda: bool(_names(tmp_path)))
            if known:
                notifier.notify()
            process.kill()
            process.wait()
        assert _names(tmp_path)
        notifier.notify()
        assert _names(tmp_path) == []


@pytest.mark.processes
def test_full_pipe_blocks_nobody(tmp_path: Path, notifier: PipeNotifier) -> None:
    what = "pipe = PipeListener(home); print(flush=True); input(); sys.exit(not pipe.wait(0))"
    with in_another_process(what, tmp_path) as process:
        wait_until("it listens", lambda: bool(_names(tmp_path)))
        for _ in range(70_000):  # more than a pipe holds
            notifier.notify()
        process.communicate(b"\n", SECONDS)
        assert process.returncode == 0


def test_pipe_is_private_and_removed_on_close(tmp_path: Path) -> None:
    with closing(PipeListener(tmp_path)):
        (name,) = _names(tmp_path)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == []


@pytest.mark.processes
@pytest.mark.skipif(connection.vendor != "sqlite", reason="Postgres has NOTIFY")
@pytest.mark.django_db(transaction=True)
def test_notified_listener_polls_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "POLL_SECONDS", 3600.0)
    monkeypatch.setattr(changes, "QUIET_POLL_SECONDS", 3600.0)
    reported: list[bool] = []
    began = threading.Event()

    def listen() -> None:
        with closing(changes.listen("default", changes.WORKERS)) as pipe:
            began.set()
            reported.append(pipe.wait(2 * SECONDS))

    listening = threading.Thread(target=listen)
    listening.start()
    began.wait()
    Thread.objects.create()
    another_process_notifies(pipes.folder())
    listening.join(SECONDS)
    assert reported == [True]


@pytest.mark.processes
@pytest.mark.skipif(connection.vendor != "sqlite", reason="Postgres has NOTIFY")
@pytest.mark.django_db(transaction=True)
async def test_notified_web_process_polls_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "POLL_SECONDS", 3600.0)
    monkeypatch.setattr(changes, "QUIET_POLL_SECONDS", 3600.0)
    reported: asyncio.Queue[bool] = asyncio.Queue()

    def on_change(*, ended: bool = True) -> None:
        reported.put_nowait(ended)

    def another_notifies(*, ended: bool) -> None:
        code = f"PipeNotifier(home).notify(ended={ended})"
        with in_another_process(code, pipes.folder()) as process:
            assert process.wait(SECONDS) == 0

    listening = asyncio.create_task(DatabaseChanges().listen(on_change))
    async with asyncio.timeout(SECONDS):
        assert await reported.get() is True, "when it begins, anything may have happened"
        await Thread.objects.acreate()
        await asyncio.to_thread(another_notifies, ended=False)
        assert await reported.get() is False
        await asyncio.to_thread(another_notifies, ended=True)
        assert await reported.get() is True, "though its commit was seen before"
        await asyncio.to_thread(_end_one_here)
        await asyncio.to_thread(another_notifies, ended=False)
        while not await reported.get():
            pass  # an end of this process is not hidden by what others say
    listening.cancel()
    await asyncio.wait([listening])


@pytest.mark.skipif(connection.vendor != "sqlite", reason="Postgres has NOTIFY")
def test_without_pipes_a_change_is_only_later(
    monkeypatch: pytest.MonkeyPatch, transactional_db: None
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("not here")

    monkeypatch.setattr(os, "mkfifo", refuse)
    with closing(changes.listen("default", changes.WORKERS)) as pipe:
        Thread.objects.create()
        changes.notify_changes()
        assert pipe.wait(SECONDS)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="Postgres has NOTIFY")
def test_unusable_folder_undoes_no_commit(
    monkeypatch: pytest.MonkeyPatch, transactional_db: None
) -> None:
    def refuse() -> Path:
        raise PermissionError("not here")

    monkeypatch.setattr(pipes, "folder", refuse)
    monkeypatch.setattr(pipes, "_notifier", None)
    with fast_transaction(connection):
        Thread.objects.create()
    assert Thread.objects.count() == 1


def _names(home: Path) -> list[str]:
    return [name for name in os.listdir(home) if name[0] != "."]


def _end_one_here() -> None:
    with transaction.atomic():
        Thread.objects.create()
        changes.notify_changes()
    connection.close()
