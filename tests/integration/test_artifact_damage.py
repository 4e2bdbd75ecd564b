"""Artifacts whose files were changed, taken away or replaced on disk: nothing else than what was
stored is handed out, by no door, and nobody waits for ever."""

from __future__ import annotations

import os
import shutil
import socket
import tracemalloc
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from artifacts import reading
from artifacts.models import Artifact
from artifacts.reading import BytesLost
from artifacts.store import read, store
from runs.errors import Problem
from runs.operations.create import create_run
from runs.operations.new_run import NewRun

pytestmark = pytest.mark.django_db

DATA = b"0123456789" * 10


@pytest.fixture
def made(trail: str) -> Artifact:
    return make(trail, DATA)


def make(trail: str, data: bytes) -> Artifact:
    data = uuid4().bytes + data  # not the file of another test
    run = create_run(NewRun(workflow=trail, payload={"input": "x"}))
    blob = store().write(data)
    row = {"size": blob.size, "sha256": blob.sha256, "media_type": "text/plain"}
    return Artifact.objects.create(id=uuid4(), run=run, name="a.txt", **row)


def place(artifact: Artifact) -> Path:
    return store().path(artifact.sha256)


def same_size(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def shorter(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"!")


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def gone(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "somebody's").write_text("file")


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    path.unlink()
    # A path in a socket's address is short: it is made elsewhere and moved.
    short = Path("/tmp") / f"s-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(short))
    shutil.move(short, path)


def link_to_it(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nowhere")


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def no_folders(path: Path) -> None:
    shutil.rmtree(path.parent.parent)


def file_for_a_folder(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.write_text("")


DAMAGES: dict[Callable[[Path], None], str] = {
    same_size: reading.CHANGED,
    shorter: reading.CHANGED,
    longer: reading.CHANGED,
    emptied: reading.CHANGED,
    gone: reading.MISSING,
    folder: reading.CHANGED,
    fifo: reading.CHANGED,
    unix_socket: reading.CHANGED,
    link_to_it: reading.CHANGED,
    link_to_nothing: reading.CHANGED,
    loop: reading.CHANGED,
    no_folders: reading.MISSING,
    file_for_a_folder: reading.MISSING,
}


@pytest.fixture(params=DAMAGES, ids=[damage.__name__ for damage in DAMAGES])
def damage(request: Any, made: Artifact) -> Any:
    """The code of what was done to the file of `made`."""
    path = place(made)
    request.param(path)
    yield DAMAGES[request.param]
    for left in (path.with_suffix(".real"), path.parent):
        if left.is_file():
            left.unlink()
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def finish(answer: Any) -> None:
    """What a server does at the end; not `close()`, which ends the test's connection, too."""
    for closer in answer._resource_closers:
        closer()


def test_every_door_says_what_is_wrong(api: APIClient, made: Artifact, damage: str) -> None:
    url = f"/api/artifacts/{made.id}"

    for answer in (api.get(url), api.get(f"{url}/?inline=1"), api.get(url, HTTP_RANGE="bytes=0-3")):
        assert answer.status_code == 410
        assert answer["Content-Type"] == "application/problem+json"
        assert "ETag" not in answer
        problem = answer.json()
        assert problem["code"] == damage
        assert "replay its run" in problem["detail"]
    assert api.head(url).status_code == 410
    # A copy that a client has is right, whatever became of ours.
    assert api.get(url, HTTP_IF_NONE_MATCH=f'"{made.sha256}"').status_code == 304
    assert api.get(f"/api/artifacts?run={made.run_id}").status_code == 200
    with pytest.raises(Problem) as refused:
        read(made.id)
    assert (refused.value.status, refused.value.code) == (410, damage)
    said = StringIO()
    with pytest.raises(CommandError, match="1 of 1 artifacts are lost"):
        call_command("check_artifacts", "--run", str(made.run_id), stdout=said)
    assert str(made.id) in said.getvalue()


def test_making_it_again_mends_it(api: APIClient, trail: str) -> None:
    for harm, code in DAMAGES.items():
        artifact = make(trail, DATA)
        path = place(artifact)
        data = path.read_bytes()
        harm(path)
        if harm is file_for_a_folder:  # there nothing can be stored
            path.parent.unlink()

        store().write(data)

        assert read(artifact.id) == data, code
        answer = api.get(f"/api/artifacts/{artifact.id}")
        assert b"".join(answer.streaming_content) == data  # type: ignore[attr-defined]
        call_command("check_artifacts", "--run", str(artifact.run_id), stdout=StringIO())


def test_a_file_that_may_not_be_read_is_said_to_be_so(
    api: APIClient, made: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> int:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:  # for root nothing is forbidden
        patched.setattr(os, "open", refuse)
        answer = api.get(f"/api/artifacts/{made.id}")
    assert answer.status_code == 410
    assert answer.json()["code"] == "artifact_bytes_unreadable"
    assert "may read" in answer.json()["detail"]


def test_a_disk_that_does_not_answer_is_no_loss(
    api: APIClient, made: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> int:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", fail)
        answer = api.get(f"/api/artifacts/{made.id}")
    assert answer.status_code == 503
    assert answer.json()["code"] == "storage_unavailable"


@pytest.mark.parametrize("size", [reading.WHOLE + 1, 3 * reading.WHOLE], ids=["just", "three"])
@pytest.mark.parametrize("harm", [same_size, shorter, longer], ids=["same", "shorter", "longer"])
def test_a_large_file_that_changes_is_never_whole(
    api: APIClient, trail: str, size: int, harm: Callable[[Path], None]
) -> None:
    artifact = make(trail, b"x" * size)
    answer = api.get(f"/api/artifacts/{artifact.id}")
    assert answer.status_code == 200
    pieces = iter(answer.streaming_content)  # type: ignore[attr-defined]
    sent = len(next(pieces))

    harm(place(artifact))

    if harm is longer:  # what was stored is all there
        assert sent + sum(map(len, pieces)) == artifact.size
        return
    with pytest.raises(BytesLost):
        for piece in pieces:
            sent += len(piece)
    assert sent < artifact.size
    if harm is same_size:
        looked = api.head(f"/api/artifacts/{artifact.id}")
        assert looked.status_code == 200, "its size is right"
        finish(looked)
        with pytest.raises(CommandError):
            call_command("check_artifacts", stdout=StringIO())
    place(artifact).unlink()
    finish(answer)


def test_a_large_file_is_read_piece_by_piece(api: APIClient, trail: str) -> None:
    artifact = make(trail, b"x" * (16 * reading.WHOLE))
    tracemalloc.start()
    answer = api.get(f"/api/artifacts/{artifact.id}")
    pieces: Any = answer.streaming_content  # type: ignore[attr-defined]
    size = sum(len(piece) for piece in pieces)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size == artifact.size == int(answer["Content-Length"])
    assert most < 4 * reading.WHOLE
    place(artifact).unlink()


def test_head_sends_no_bytes(api: APIClient, made: Artifact) -> None:
    answer = api.head(f"/api/artifacts/{made.id}")

    assert answer.status_code == 200
    assert int(answer["Content-Length"]) == made.size
    assert answer["ETag"] == f'"{made.sha256}"'
    assert not b"".join(answer.streaming_content)  # type: ignore[attr-defined]


def test_a_sweep_takes_what_is_no_file_too(made: Artifact) -> None:
    path = place(made)
    fifo(path)
    orphan = path.with_name("0" * 64)
    orphan.symlink_to(path)

    found = set(store().files()) & {path, orphan}

    assert found == {path, orphan}
    orphan.unlink()
    path.unlink()


def test_the_command_counts_and_refuses_what_is_no_id(trail: str) -> None:
    said = StringIO()
    artifact = make(trail, DATA)
    call_command("check_artifacts", "--run", str(artifact.run_id), stdout=said)
    assert said.getvalue() == "All 1 artifacts are as they were stored.\n"
    with pytest.raises(CommandError, match="no run's id"):
        call_command("check_artifacts", "--run", "nonsense")
    with pytest.raises(CommandError, match=r"There is no run .* Leave --run out"):
        call_command("check_artifacts", "--run", str(uuid4()))
