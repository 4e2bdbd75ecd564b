"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
from django.db import connection, connections
from django.test import TransactionTestCase

from tests.support import databases, needs, signals
from tests.support.client import Client
from tests.support.processes import Server, serving
from tests.support.redis_server import Redis

signals.reset()
pytest_plugins = ["tests.support.tiers"]

# What Hypothesis draws is the same on every run of CI: what it finds elsewhere becomes a test.
hypothesis.settings.register_profile("ci", derandomize=True)
if needs.on_ci():
    hypothesis.settings.load_profile("ci")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds what the server printed to the report of a test that failed."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Server):
                report.sections.append((f"log of {value.url}", value.log()[-8000:]))
    return report


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """The test database of each process is a copy of the session's migrated template."""
    settings = connection.settings_dict
    if connection.vendor == "postgresql":
        settings["TEST"]["TEMPLATE"] = databases.postgres_template()
    else:
        databases.copy_sqlite_template(Path(settings["TEST"]["NAME"]))


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """The copied SQLite file is used as it is; the session's folder is removed at the end."""
    return connection.vendor == "sqlite"


def _empty_tables(case: TransactionTestCase) -> None:
    for alias in case._databases_names(include_mirrors=False):  # type: ignore[attr-defined]
        databases.empty_tables(connections[alias])


def pytest_configure() -> None:
    TransactionTestCase._fixture_teardown = _empty_tables  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the process that started the session
        databases.drop_template()


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


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Redis]:
    """A Redis server of one test, which may stop, start and flush it; skips where there is none."""
    redis = Redis(_need(needs.redis_server), tmp_path)
    redis.start()
    yield redis
    redis.stop()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium; skips where there is none."""
    return _need(needs.chromium)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running `manage.py serve`, shared by the tests of a module, which leave it running."""
    with serving(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A running `manage.py serve` for one test, which may kill, stop and start it."""
    with serving(tmp_path) as started:
        yield started


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client of the shared server."""
    with Client(server.url) as speaking:
        yield speaking
