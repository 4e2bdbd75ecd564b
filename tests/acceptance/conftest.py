"""A server with two workers that execute runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Server, own_database


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Server]:
    """A running server with two workers that execute runs."""
    with own_database() as url:
        server = Server(tmp_path / "data", {"DATABASE_URL": url, "FASTGRAPH_WORKERS": "2"})
        try:
            assert server.manage("migrate", "--verbosity", "0").returncode == 0
            server.start()
            yield server
        finally:
            server.close()
