"""The content-addressed store: bytes first and whole, rows after, nothing left over."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from datetime import timedelta
from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from pytest_django import Settings

from artifacts import store as store_module
from artifacts.checks import artifacts_folder_is_writable
from artifacts.models import Artifact
from artifacts.store import TEMPORARY, FileStore, read
from artifacts.sweep import orphans, sweep_orphans
from runs.engine import ArtifactRef, Blob
from runs.engine.ids import derived, uuid7
from runs.errors import Problem
from runs.models import Run, Thread

DATA = b"hello"
SHA256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
HOUR = timedelta(hours=1)


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "artifacts")


@pytest.fixture
def data_dir(tmp_path: Path, settings: Settings) -> Path:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "data_dir": tmp_path}
    return tmp_path


@pytest.fixture
def run(db: None) -> Run:
    return Run.objects.create(thread=Thread.objects.create(), workflow="text_report")


def ref(run: Run, blob: Blob, name: str = "report.md") -> ArtifactRef:
    return ArtifactRef(
        artifact_id=str(derived(str(run.id), "task", name)),
        run_id=str(run.id),
        node="report",
        name=name,
        media_type="text/markdown",
        size=blob.size,
        sha256=blob.sha256,
    )


def everything(files: FileStore) -> list[str]:
    return [path.name for path in files.files()]


def grow_old(path: Path, hours: float = 48) -> None:
    then = time.time() - hours * 3600
    os.utime(path, (then, then))


def test_bytes_are_found_by_their_hash(files: FileStore) -> None:
    assert files.write(DATA) == Blob(sha256=SHA256, size=5)
    assert files.path(SHA256) == files.root / "2c" / "f2" / SHA256
    with files.open(SHA256) as file:
        assert file.read() == DATA


def test_the_same_bytes_twice_are_one_file(files: FileStore) -> None:
    first = files.write(DATA)
    inode = files.path(SHA256).stat().st_ino
    assert files.write(DATA) == first
    assert everything(files) == [SHA256]
    assert files.path(SHA256).stat().st_ino == inode


def test_no_bytes_are_bytes_too(files: FileStore) -> None:
    blob = files.write(b"")
    assert blob.size == 0
    with files.open(blob.sha256) as file:
        assert file.read() == b""


def test_a_file_that_is_not_whole_is_written_again(files: FileStore) -> None:
    files.write(DATA)
    files.path(SHA256).write_bytes(b"he")
    files.write(DATA)
    assert files.path(SHA256).read_bytes() == DATA


def test_a_crash_before_the_rename_leaves_only_a_temporary_file(
    files: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """As little as SIGKILL does it let `except Exception` tidy up."""

    def die(*args: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", die)
        with pytest.raises(Killed):
            files.write(DATA)
    assert not files.path(SHA256).exists()
    assert [name.startswith(TEMPORARY) for name in everything(files)] == [True]
    files.write(DATA)  # the next one is not disturbed by it
    assert files.path(SHA256).read_bytes() == DATA


def test_a_full_disk_leaves_nothing(files: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    files.write(b"so that the folders are there")
    before = everything(files)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            files.write(b"so that the folders are there"[::-1])
    assert everything(files) == before


def test_bytes_and_then_the_folder_reach_the_disk(
    files: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        done.append("folder" if os.path.isdir(f"/dev/fd/{descriptor}") else "bytes")
        real_fsync(descriptor)

    def replace(source: str, target: Path) -> None:
        done.append("rename")
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    files.write(DATA)
    assert done == ["folder", "folder", "folder", "bytes", "rename", "folder"]


def test_many_writers_of_the_same_bytes_agree(files: FileStore) -> None:
    data = os.urandom(200_000)
    threads = [threading.Thread(target=files.write, args=(data,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert everything(files) == [hashlib.sha256(data).hexdigest()]


@pytest.mark.parametrize("sha256", ["", "../../etc/passwd", SHA256.upper(), SHA256 + "0"])
def test_only_a_hash_finds_a_file(files: FileStore, sha256: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        files.open(sha256)


def test_attaching_again_replaces_the_row(files: FileStore, run: Run) -> None:
    files.attach(ref(run, files.write(DATA)))
    first = Artifact.objects.get()
    assert (first.run_id, first.node, first.name) == (run.id, "report", "report.md")
    assert (first.size, first.sha256, first.media_type) == (5, SHA256, "text/markdown")
    again = files.write(b"something else")
    files.attach(ref(run, again))
    second = Artifact.objects.get()
    assert (second.id, second.sha256, second.size) == (first.id, again.sha256, 14)
    assert second.created_at == first.created_at


def test_attaching_is_part_of_the_callers_transaction(files: FileStore, run: Run) -> None:
    class Fenced(Exception): ...

    with pytest.raises(Fenced), transaction.atomic():
        files.attach(ref(run, files.write(DATA)))
        raise Fenced
    assert not Artifact.objects.exists()


def test_reading_an_artifact(data_dir: Path, run: Run) -> None:
    files = store_module.store()
    files.attach(ref(run, files.write(DATA)))
    artifact = Artifact.objects.get()
    assert read(artifact.id) == DATA
    assert read(str(artifact.id)) == DATA
    files.path(SHA256).unlink()
    with pytest.raises(Problem) as gone:
        read(artifact.id)
    assert (gone.value.status, gone.value.code) == (410, "artifact_bytes_missing")


@pytest.mark.parametrize(
    "artifact_id",
    [str(uuid7()), "no uuid", "x\0y"],
    ids=["unknown", "no uuid", "NUL"],
)
def test_reading_what_is_not_there(db: None, artifact_id: str) -> None:
    with pytest.raises(Problem) as unknown:
        read(artifact_id)
    assert unknown.value.status == 404


def test_a_sweep_takes_old_files_without_a_row(files: FileStore, run: Run) -> None:
    kept = files.write(b"has a row")
    files.attach(ref(run, kept))
    old, young = files.write(b"old"), files.write(b"young")
    half = files.path(old.sha256).parent / f"{TEMPORARY}abc"
    half.write_bytes(b"ha")
    for path in (files.path(kept.sha256), files.path(old.sha256), half):
        grow_old(path)
    assert {orphan.path for orphan in orphans(HOUR, within=files)} == {
        files.path(old.sha256),
        half,
    }
    swept = sweep_orphans(HOUR, within=files)
    assert (swept.files, swept.bytes) == (2, 5)
    assert set(everything(files)) == {kept.sha256, young.sha256}


def test_deleting_a_run_frees_its_bytes_but_not_those_that_another_shares(
    files: FileStore, run: Run
) -> None:
    other = Run.objects.create(thread=Thread.objects.create(), workflow="text_report")
    shared, own = files.write(b"shared"), files.write(b"own")
    files.attach(ref(run, shared, "a"))
    files.attach(ref(run, own, "b"))
    files.attach(ref(other, shared, "a"))
    run.delete()
    for path in files.files():
        grow_old(path)
    sweep_orphans(HOUR, within=files)
    assert everything(files) == [shared.sha256]


def test_bytes_that_are_written_again_while_a_sweep_looks_are_kept(
    files: FileStore, db: None
) -> None:
    path = files.path(files.write(DATA).sha256)
    grow_old(path)
    looking = orphans(HOUR, within=files)
    assert next(looking).path == path  # the sweep has decided
    files.write(DATA)  # a node makes the same bytes; its row follows with its superstep
    assert not files.delete_if_older(path, time.time() - HOUR.total_seconds())
    assert path.exists()


def test_the_command_sweeps_and_can_only_look(data_dir: Path, db: None) -> None:
    files = store_module.store()
    path = files.path(files.write(DATA).sha256)
    grow_old(path, hours=30)
    out = StringIO()
    call_command("artifacts_sweep", "--dry-run", stdout=out)
    assert str(path) in out.getvalue() and "Would delete 1 files, 5 bytes." in out.getvalue()
    assert path.exists()
    call_command("artifacts_sweep", "--older-than", "40", stdout=(out := StringIO()))
    assert "Deleted 0 files" in out.getvalue()
    call_command("artifacts_sweep", stdout=(out := StringIO()))
    assert "Deleted 1 files, 5 bytes." in out.getvalue()
    assert not path.exists()
    with pytest.raises(CommandError, match="--older-than"):
        call_command("artifacts_sweep", "--older-than", "-1")


def test_a_file_in_the_place_of_the_folder_is_a_check_error(data_dir: Path) -> None:
    assert artifacts_folder_is_writable() == []
    (data_dir / "artifacts").write_text("")
    assert [error.id for error in artifacts_folder_is_writable()] == ["artifacts.E001"]


def test_an_artifact_of_no_run_is_refused(files: FileStore, run: Run) -> None:
    run.id = uuid4()
    with pytest.raises(IntegrityError), transaction.atomic():
        files.attach(ref(run, files.write(DATA)))
        connection.check_constraints()


def test_the_name_of_a_known_file_is_made_durable_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(store_module, "_sync_folder", synced.append)
    files = FileStore(tmp_path)
    folder = files.path(files.write(b"same").sha256).parent
    assert folder in synced
    synced.clear()
    files.write(b"same")
    assert synced == []
    FileStore(tmp_path).write(b"same")  # of another process, it is not known
    assert synced == [folder]
    files.delete_if_older(files.path(files.write(b"same").sha256), time.time() + 60)
    synced.clear()
    files.write(b"same")
    assert folder in synced
