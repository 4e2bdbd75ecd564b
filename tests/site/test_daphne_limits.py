"""An application that does not complete its answer leaves nobody waiting, with Daphne as it is
served."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastgraph_site.environment import BASE_DIR
from tests.acceptance.raw_http import Raw

APPLICATION = """
async def app(scope, receive, send):
    if scope["path"].startswith("/begun"):
        headers = [(b"content-length", b"10")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"12345", "more_body": True})
    if scope["path"].endswith("/raises"):
        raise RuntimeError("it breaks")
"""
SERVE = """
import socket, django
django.setup()
from fastgraph_site.server import process as web
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
web._serve_daphne(listener, lambda: print(port, flush=True))
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder: Path = tmp_path_factory.mktemp("unfinished")
    (folder / "unfinished.py").write_text(APPLICATION)
    settings = "from fastgraph_site.settings import *\nASGI_APPLICATION = 'unfinished.app'\n"
    (folder / "unfinished_settings.py").write_text(settings)
    env = {
        **os.environ,
        "PYTHONPATH": f"{folder}{os.pathsep}{BASE_DIR}",
        "DJANGO_SETTINGS_MODULE": "unfinished_settings",
        "FASTGRAPH_DATA_DIR": str(folder / "data"),
    }
    command = [sys.executable, "-c", SERVE]
    with subprocess.Popen(command, cwd=BASE_DIR, env=env, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def rest(port: int, path: str) -> bytes:
    """All that is answered; TimeoutError when the connection stays open."""
    raw = Raw(port).get(path, "Connection: close")
    try:
        return raw.rest()
    finally:
        raw.close()


@pytest.mark.processes
@pytest.mark.parametrize("how", ["returns", "raises"])
def test_the_connection_of_half_an_answer_ends(port: int, how: str) -> None:
    for _ in range(2):
        head, _, body = rest(port, f"/begun/{how}").partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert body == b"12345"


@pytest.mark.processes
@pytest.mark.parametrize("how", ["returns", "raises"])
def test_no_answer_is_an_error(port: int, how: str) -> None:
    rest(port, "/begun/raises")
    for _ in range(2):
        assert rest(port, f"/{how}").startswith(b"HTTP/1.1 500 ")
