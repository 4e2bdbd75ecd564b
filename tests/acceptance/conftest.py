"""A server with two workers that execute runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Server, serving


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Server]:
    """A running server with two workers that execute runs."""
    with serving(tmp_path, env={"FASTGRAPH_WORKERS": "2"}) as server:
        yield server
