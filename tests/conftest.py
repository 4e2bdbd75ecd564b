"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests import needs


def _need(find: Callable[[], str]) -> str:
    try:
        return find()
    except needs.Missing as missing:
        if needs.on_ci():
            pytest.fail(f"CI=true, but {missing}")
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """A URL of the maintenance database of a Postgres server; skips where there is none."""
    return _need(needs.postgres_url)


@pytest.fixture(scope="session")
def redis_url() -> str:
    """The URL of a Redis server; skips where there is none."""
    return _need(needs.redis_url)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium; skips where there is none."""
    return _need(needs.chromium)
