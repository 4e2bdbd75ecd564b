"""Bells between the processes of one host: rung by the others, gone with who listens."""

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
from django.conf import settings
from django.db import connection, transaction

from fastgraph_site.environment import BASE_DIR
from runs import bells, doorbell, rows
from runs.bells import Bell, Ringer
from runs.models import Thread
from streaming.data_version import DataVersion
from tests.support.processes import wait_until

SECONDS = 30.0


def in_another_process(what: str, home: Path) -> subprocess.Popen[bytes]:
    code = (
        f"import sys, pathlib; from runs.bells import *; home = pathlib.Path(sys.argv[1]); {what}"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(home)], cwd=BASE_DIR, stdin=subprocess.PIPE
    )


def another_process_rings(home: Path) -> None:
    with in_another_process("Ringer(home).ring()", home) as process:
        assert process.wait(SECONDS) == 0


@pytest.fixture
def ringer(tmp_path: Path) -> Iterator[Ringer]:
    with closing(Ringer(tmp_path)) as made:
        yield made


@pytest.mark.processes
def test_another_process_is_heard(tmp_path: Path) -> None:
    with closing(Bell(tmp_path)) as bell:
        assert not bell.wait(0)
        another_process_rings(tmp_path)
        assert bell.wait(0)
        assert not bell.wait(0), "once for each"


@pytest.mark.processes
def test_a_ring_says_whether_a_run_may_have_ended(tmp_path: Path) -> None:
    with closing(Bell(tmp_path)) as bell:
        for rings, told in (
            ("ring(ended=False)", False),
            ("ring()", True),
            ("ring(ended=False); ring(); ring(ended=False)", True),
        ):
            what = "; ".join(f"ringer.{ring}" for ring in rings.split("; "))
            with in_another_process(f"ringer = Ringer(home); {what}", tmp_path) as process:
                assert process.wait(SECONDS) == 0
            assert bell.take() is told
            assert bell.take() is False


@pytest.mark.processes
def test_rings_that_are_lost_may_have_been_of_an_end(tmp_path: Path) -> None:
    with closing(Bell(tmp_path)) as bell:
        what = "ringer = Ringer(home); [ringer.ring(ended=False) for _ in range(70_000)]"
        with in_another_process(what, tmp_path) as process:
            assert process.wait(SECONDS) == 0
        assert bell.take() is True
        assert bell.take() is False


def test_ones_own_ends_ring_where_they_are_wanted(tmp_path: Path, ringer: Ringer) -> None:
    with closing(Bell(tmp_path, own_ends=True)) as bell, closing(Bell(tmp_path)) as other:
        ringer.ring(ended=False)
        assert not bell.wait(0)
        ringer.ring()
        assert bell.take() is True
        assert not other.wait(0)


@pytest.mark.processes
def test_the_bells_of_others_ring_and_not_ones_own(tmp_path: Path, ringer: Ringer) -> None:
    with closing(Bell(tmp_path)) as own:
        ringer.ring()
        assert not own.wait(0)
        what = "bell = Bell(home); sys.exit(not bell.wait(30))"
        with in_another_process(what, tmp_path) as process:
            wait_until("it listens", lambda: len(_names(tmp_path)) == 2)
            ringer.ring()
            assert process.wait(SECONDS) == 0
        assert not own.wait(0)


@pytest.mark.processes
def test_one_that_is_hung_up_later_is_found(tmp_path: Path, ringer: Ringer) -> None:
    ringer.ring()
    what = "bell = Bell(home); sys.exit(not bell.wait(30))"
    with in_another_process(what, tmp_path) as process:
        wait_until("it listens", lambda: bool(_names(tmp_path)))
        ringer.ring()
        assert process.wait(SECONDS) == 0


@pytest.mark.processes
def test_what_a_killed_process_left_is_taken_down(tmp_path: Path, ringer: Ringer) -> None:
    for known in (False, True):
        with in_another_process("bell = Bell(home); input()", tmp_path) as process:
            wait_until("it listens", lambda: bool(_names(tmp_path)))
            if known:
                ringer.ring()
            process.kill()
            process.wait()
        assert _names(tmp_path)
        ringer.ring()
        assert _names(tmp_path) == []


@pytest.mark.processes
def test_one_that_nobody_reads_stops_nobody(tmp_path: Path, ringer: Ringer) -> None:
    what = "bell = Bell(home); print(flush=True); input(); sys.exit(not bell.wait(0))"
    with in_another_process(what, tmp_path) as process:
        wait_until("it listens", lambda: bool(_names(tmp_path)))
        for _ in range(70_000):  # more than a pipe holds
            ringer.ring()
        process.communicate(b"\n", SECONDS)
        assert process.returncode == 0


def test_a_bell_is_for_nobody_else_and_gone_when_it_is_closed(tmp_path: Path) -> None:
    with closing(Bell(tmp_path)):
        (name,) = _names(tmp_path)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == []


@pytest.mark.processes
@pytest.mark.skipif(connection.vendor != "sqlite", reason="Postgres tells by itself")
@pytest.mark.django_db(transaction=True)
def test_a_doorbell_that_is_rung_looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "LOOK_SECONDS", 3600.0)
    heard: list[bool] = []
    began = threading.Event()

    def listen() -> None:
        with closing(doorbell.doorbell("default", rung=True)) as bell:
            began.set()
            heard.append(bell.wait(2 * SECONDS))

    listening = threading.Thread(target=listen)
    listening.start()
    began.wait()
    Thread.objects.create()
    another_process_rings(bells.folder())
    listening.join(SECONDS)
    assert heard == [True]


@pytest.mark.processes
@pytest.mark.skipif(connection.vendor != "sqlite", reason="Postgres tells by itself")
@pytest.mark.django_db(transaction=True)
async def test_a_web_process_that_is_rung_looks_at_once() -> None:
    path = Path(settings.DATABASES["default"]["NAME"])
    rang: asyncio.Queue[bool] = asyncio.Queue()

    def ring(*, ended: bool = True) -> None:
        rang.put_nowait(ended)

    def another_rings(*, ended: bool) -> None:
        with in_another_process(f"Ringer(home).ring(ended={ended})", bells.folder()) as process:
            assert process.wait(SECONDS) == 0

    listening = asyncio.create_task(DataVersion(path, interval=3600.0).listen(ring))
    async with asyncio.timeout(SECONDS):
        assert await rang.get() is True, "when it begins, anything may have happened"
        await Thread.objects.acreate()
        await asyncio.to_thread(another_rings, ended=False)
        assert await rang.get() is False
        await asyncio.to_thread(another_rings, ended=True)
        assert await rang.get() is True, "though its commit was seen at the other bell"
        await asyncio.to_thread(_end_one_here)
        await asyncio.to_thread(another_rings, ended=False)
        while not await rang.get():
            pass  # an end of this process is not hidden by what others say
    listening.cancel()
    await asyncio.wait([listening])


@pytest.mark.skipif(connection.vendor != "sqlite", reason="Postgres tells by itself")
def test_without_pipes_it_is_only_later(
    monkeypatch: pytest.MonkeyPatch, transactional_db: None
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("not here")

    monkeypatch.setattr(os, "mkfifo", refuse)
    with closing(doorbell.doorbell("default", rung=True)) as bell:
        Thread.objects.create()
        doorbell.announce()
        assert bell.wait(SECONDS)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="Postgres tells by itself")
def test_a_folder_that_is_not_there_undoes_no_commit(
    monkeypatch: pytest.MonkeyPatch, transactional_db: None
) -> None:
    def refuse() -> Path:
        raise PermissionError("not here")

    monkeypatch.setattr(bells, "folder", refuse)
    monkeypatch.setattr(bells, "_ringer", None)
    with rows.written(connection):
        Thread.objects.create()
    assert Thread.objects.count() == 1


def _names(home: Path) -> list[str]:
    return [name for name in os.listdir(home) if name[0] != "."]


def _end_one_here() -> None:
    with transaction.atomic():
        Thread.objects.create()
        doorbell.announce()
    connection.close()
