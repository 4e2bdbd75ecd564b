"""The pytest plugin that runs LangGraph's tests here: our words, our fixtures, our two lists."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

import tests
from runs.engine import InMemoryCache
from tests.langgraph_suite import lists, lookalikes, shim


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outcomes", help="the file to write what came of the tests to, as JSON")
    parser.addoption("--unlisted", action="store_true", help="run the expected failures as others")


def pytest_configure(config: pytest.Config) -> None:
    shim.install()
    # The suite imports its helpers as `tests.any_str`; it has no name in common with our tests.
    tests.__path__.append(str(config.rootpath / "tests"))
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Outcomes(config.getoption("--outcomes")))


@pytest.hookimpl(tryfirst=True)
def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return collection_path.name in lists.exclusions()["file"] or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    excluded, known = lists.exclusions(), lists.expected()
    out = [item for item in items if _is_out(item, excluded)]
    items[:] = [item for item in items if item not in out]
    config.hook.pytest_deselected(items=out)
    if config.getoption("--unlisted"):
        return
    for item in items:
        if (one := known.get(item.nodeid)) is not None:
            mark = pytest.mark.xfail(reason=f"{one.category}: {one.reason}", strict=True)
            item.add_marker(mark, append=False)


def _is_out(item: pytest.Item, excluded: Any) -> bool:
    names = {item.nodeid, item.nodeid.partition("[")[0]}
    if names & excluded["test"].keys():
        return True
    if set(getattr(item, "fixturenames", ())) & excluded["fixture"].keys():
        return True
    source = inspect.getsource(getattr(item, "function", _is_out))
    return any(text in source for text in excluded["text"])


class _Outcomes:
    """Collects what came of each test, and writes it down at the end."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._passed: set[str] = set()
        self._failed: dict[str, str] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._failed[report.nodeid] = _why(report.longrepr)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed or hasattr(report, "wasxfail"):
            unexpected = report.failed and "[XPASS(strict)]" in str(report.longrepr)
            if unexpected:
                self._passed.add(report.nodeid)
            else:
                self._failed[report.nodeid] = _why(report.longrepr)
        elif report.when == "call" and report.passed:
            self._passed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        if self._path:
            passed = sorted(self._passed - self._failed.keys())
            Path(self._path).write_text(json.dumps({"passed": passed, "failed": self._failed}))


def _why(longrepr: Any) -> str:
    """The last thing that went wrong, on one line."""
    crash = getattr(longrepr, "reprcrash", None)
    said = str(crash.message if crash is not None else longrepr)
    line = next((line for line in said.splitlines() if line.strip()), "no reason")
    return " ".join(line.replace("|", "/").split())[:140]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["memory"])
def sync_checkpointer(request: pytest.FixtureRequest) -> Any:
    return lookalikes.Journal()


@pytest.fixture(params=["memory"])
def async_checkpointer(request: pytest.FixtureRequest) -> Any:
    return lookalikes.Journal()


@pytest.fixture(params=["sync", "async", "exit"])
def durability(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=["memory"])
def cache(request: pytest.FixtureRequest) -> Any:
    return InMemoryCache()


@pytest.fixture
def snapshot() -> None:
    """Only named by tests that are out of scope."""


@pytest.fixture
def mocker() -> None:
    """Only named by tests that are out of scope."""


@pytest.fixture(params=["in_memory"])
def sync_store(request: pytest.FixtureRequest) -> Any:
    raise shim.NotThere("There are no stores in this engine")


@pytest.fixture(params=["in_memory"])
def async_store(request: pytest.FixtureRequest) -> Any:
    raise shim.NotThere("There are no stores in this engine")
