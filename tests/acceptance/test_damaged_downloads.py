"""The file of a large artifact is not what was stored, which is noticed while it is sent: the
connection ends before the last byte, with either server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.raw_http import Raw
from tests.support.client import Client
from tests.support.processes import Server, serving

SIZE = 3 * 2**20
MAKE = """
from uuid import uuid4
from artifacts.models import Artifact
from artifacts.store import store
from runs.models import Run
blob = store().write(bytes({size}))
row = dict(media_type="text/plain", size=blob.size, sha256=blob.sha256)
made = Artifact.objects.create(id=uuid4(), run=Run.objects.get(pk="{run}"), name="a", **row)
print(made.id, store().path(blob.sha256))
"""


@pytest.fixture(scope="module", params=["uvicorn", "daphne"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("downloads")
    with serving(folder, "--server", request.param) as server:
        yield server


@pytest.fixture(scope="module")
def stored(server: Server) -> tuple[str, Path]:
    """The id of an artifact and its file."""
    with Client(server.url) as client:
        run = client.create("steps", {"steps": 1, "seconds": 0})["id"]
        client.wait(run)
    code = MAKE.format(size=SIZE, run=run)
    done = server.manage("shell", "--verbosity", "0", "--command", code)
    assert done.returncode == 0, done.stderr
    made, path = done.stdout.split()
    return made, Path(path)


def last_byte_changed(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")


def middle_changed(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(SIZE // 2)
        file.write(b"x")


@pytest.mark.parametrize("harm", [last_byte_changed, middle_changed], ids=lambda f: f.__name__)
def test_the_connection_ends_with_the_answer(
    server: Server, stored: tuple[str, Path], harm: Callable[[Path], None]
) -> None:
    artifact_id, path = stored
    path.write_bytes(bytes(SIZE))
    before = len(server.log())
    harm(path)
    raw = Raw(server.port).get(f"/api/artifacts/{artifact_id}")

    head, _, body = raw.rest().partition(b"\r\n\r\n")

    raw.close()
    assert head.startswith(b"HTTP/1.1 200 ")
    assert f"content-length: {SIZE}".encode() in head.lower()
    assert 0 < len(body) < SIZE
    assert b"<html" not in body.lower(), "no second answer in it"
    assert "breaks off" in server.log()[before:]
    assert "Traceback" not in server.log()[before:]


def test_it_is_cut_while_it_is_sent(server: Server, stored: tuple[str, Path]) -> None:
    """As the client reads slowly, most is still to be read when the file becomes shorter."""
    artifact_id, path = stored
    path.write_bytes(bytes(SIZE))
    raw = Raw(server.port, receive_buffer=4096).get(f"/api/artifacts/{artifact_id}")
    first = raw.head()
    os.truncate(path, 0)

    head, _, body = (first + raw.rest()).partition(b"\r\n\r\n")

    raw.close()
    assert head.startswith(b"HTTP/1.1 200 ")
    assert len(body) < SIZE, "the cut came before the end"


def test_the_next_is_served(server: Server, stored: tuple[str, Path]) -> None:
    artifact_id, path = stored
    path.write_bytes(bytes(SIZE))
    raw = Raw(server.port).get(f"/api/artifacts/{artifact_id}", "Connection: close")
    answer = raw.answer()
    raw.close()
    assert (answer.status, answer.body) == (200, bytes(SIZE))
