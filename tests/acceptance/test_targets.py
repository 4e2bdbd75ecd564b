"""A request whose target is a whole URL, as a proxy is sent, is for the host that the URL names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.raw_http import Raw
from tests.support.processes import Server, serving

pytestmark = pytest.mark.any_database

UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    f"Sec-WebSocket-Key: {'A' * 22}==",
)


@pytest.fixture(scope="module", params=["uvicorn", "daphne"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("targets")
    with serving(folder, "--server", request.param) as server:
        yield server
    assert "Traceback" not in server.log()


@pytest.fixture
def raw(server: Server) -> Iterator[Raw]:
    one = Raw(server.port)
    yield one
    one.close()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:1", "evil.example@127.0.0.1", "["])
@pytest.mark.parametrize("lines", [(), UPGRADE], ids=["request", "socket"])
def test_a_target_that_names_another_host_is_refused(
    raw: Raw, host: str, lines: tuple[str, ...]
) -> None:
    path = "/api/ws/" if lines else "/api/health"
    head = raw.get(f"http://{host}{path}", *lines).head()
    assert head.startswith(b"HTTP/1.1 400 "), head


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:80"])
def test_a_target_that_names_this_server_is_not(raw: Raw, host: str) -> None:
    answer = raw.get(f"http://{host}/api/health").answer()
    # Daphne takes the whole target for a path, and finds nothing there.
    assert answer.status in (200, 404)
