"""A pytest plugin that keeps the two tiers of tests apart.

A test with the mark `processes` is of the second tier: it may start processes. So is every test in
`acceptance` and `e2e`. In any other test the start of a process is an error.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FOLDERS = {"acceptance": ["processes"], "e2e": ["processes", "browser"]}
STARTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"})
#: The folders whose tests of the second tier start servers on the database that is asked for.
SERVERS = frozenset({"acceptance", "contract", "integration", "streaming"})
DATABASE_FIXTURES = frozenset({"db", "transactional_db", "django_db_setup"})

_running: pytest.Item | None = None  # the test of the first tier whose own code runs now


class ProcessStarted(AssertionError):
    """A test of the first tier started a process."""


def is_second(item: pytest.Item) -> bool:
    """Whether `item` is of the second tier."""
    return item.get_closest_marker("processes") is not None


def touches_database(item: pytest.Item) -> bool:
    """Whether `item` may ask the database: pytest-django refuses it to any other test of the first
    tier, and one of the second starts a server."""
    if item.get_closest_marker("any_database"):
        return False
    fixtures = getattr(item, "fixturenames", ())
    asks = item.get_closest_marker("django_db") or DATABASE_FIXTURES.intersection(fixtures)
    return bool(asks) or (is_second(item) and _folder(item) in SERVERS)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run what is marked `soak`, too")
    parser.addoption(
        "--only-database",
        action="store_true",
        help="leave out what does not touch the database, and so is the same on each",
    )


def _leave_out(
    config: pytest.Config, items: list[pytest.Item], left_out: list[pytest.Item]
) -> None:
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def pytest_configure() -> None:
    sys.addaudithook(_refuse_start)


@pytest.hookimpl(tryfirst=True)  # before -m deselects
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for mark in FOLDERS.get(_folder(item), ()):
            item.add_marker(mark)
    if config.getoption("--only-database"):
        _leave_out(config, items, [item for item in items if not touches_database(item)])
    if not config.getoption("--soak"):
        _leave_out(config, items, [item for item in items if item.get_closest_marker("soak")])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    with _watched(None if is_second(item) else item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    own = fixturedef.scope == "function" and not is_second(request.node)
    with _watched(request.node if own else None):
        return (yield)


def _folder(item: pytest.Item) -> str:
    tests = Path(__file__).parents[1]
    return item.path.relative_to(tests).parts[0] if item.path.is_relative_to(tests) else ""


@contextmanager
def _watched(item: pytest.Item | None) -> Iterator[None]:
    global _running
    before, _running = _running, item
    try:
        yield
    finally:
        _running = before


def _refuse_start(event: str, arguments: tuple[object, ...]) -> None:
    if event in STARTS and _running is not None:
        raise ProcessStarted(
            f"{_running.nodeid} starts a process: mark it with @pytest.mark.processes"
        )
