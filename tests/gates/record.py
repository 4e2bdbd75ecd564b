"""A pytest plugin that writes how the tests ended to the file `--record` names.

`python -m pytest -p tests.gates.record --record FILE`. Also with pytest-xdist: the process that
started the session writes.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.promises import breaks_promise


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One test that failed. `broken`: it raised PromiseBroken. `output` is pytest's report."""

    test: str
    broken: bool
    output: str


@dataclass(kw_only=True)
class Record:
    """How the tests of one pytest run ended."""

    passed: int = 0
    skipped: int = 0
    failures: list[Failure] = field(default_factory=list)
    #: Modules that could not be collected, or errors outside any test.
    errors: int = 0

    @property
    def tests(self) -> int:
        """The number of tests that ran."""
        return self.passed + len({failure.test for failure in self.failures})


def read(path: Path) -> Record | None:
    """The record in the file at `path`; None when pytest did not come to write one."""
    if not path.exists():
        return None
    found: Mapping[str, Any] = json.loads(path.read_text())
    failures = [Failure(**failure) for failure in found["failures"]]
    return Record(**{**found, "failures": failures})


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", type=Path, help="write how the tests ended to this file")


def pytest_configure(config: pytest.Config) -> None:
    path: Path | None = config.getoption("--record")
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Recorder(path))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Marks the report of a broken promise; pytest-xdist sends the mark along."""
    report = yield
    if call.excinfo is not None:
        # An attribute of our own: pytest-xdist sends whatever a report has.
        vars(report)["promise_broken"] = breaks_promise(call.excinfo.value)
    return report


class _Recorder:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._record = Record()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            broken = bool(getattr(report, "promise_broken", False))
            parts = [
                report.longreprtext,
                *(f"--- {name} ---\n{text}" for name, text in report.sections),
            ]
            output = "\n".join(parts)
            self._record.failures.append(Failure(test=report.nodeid, broken=broken, output=output))
        elif report.skipped:
            self._record.skipped += 1
        elif report.when == "call":
            self._record.passed += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._record.errors += report.failed

    def pytest_sessionfinish(self) -> None:
        self._path.write_text(json.dumps(asdict(self._record)))
