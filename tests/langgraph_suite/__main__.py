"""Runs LangGraph's tests on this engine and prints the share that passes. `--update` corrects the
list of expected failures instead of failing."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastgraph_site.environment import BASE_DIR
from tests.langgraph_suite import lists, sdist
from tests.support import needs

#: Seconds that all of it may take.
PATIENCE = 900


def main(arguments: Sequence[str]) -> int:
    """0 when what fails is what is expected to fail."""
    parser = argparse.ArgumentParser(prog="python -m tests.langgraph_suite", description=__doc__)
    parser.add_argument("--update", action="store_true", help="correct the list, and show how")
    update = parser.parse_args(arguments).update
    try:
        folder = sdist.unpacked()
    except needs.Missing as missing:
        print(missing)
        return 1
    with tempfile.TemporaryDirectory() as passing:
        found = Path(passing) / "outcomes.json"
        code = _pytest(
            folder, "--outcomes", str(found), *(["--unlisted", "--tb=no"] if update else [])
        )
        if code not in (0, 1) or not found.exists():
            print("pytest did not come to an end: what it said is above.")
            return code or 1
        outcomes = json.loads(found.read_text())
    return _updated(outcomes) if update else _judged(outcomes)


def _pytest(folder: Path, *arguments: str) -> int:
    """Run the tests in `folder`, in their order, without the plugins that our own tests use."""
    ini = Path(__file__).parent / "pytest.ini"
    where = ["--rootdir", str(folder), "-c", str(ini), "--noconftest", str(folder / "tests")]
    off = (
        "django",
        "asyncio",
        "randomly",
        "cacheprovider",
        "pytest_mock",
        "syrupy",
        "hypothesispytest",
    )
    plugins = ["-p", "tests.langgraph_suite.plugin", *(f"-pno:{name}" for name in off)]
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-n", "2", *plugins, *where]
    try:
        return subprocess.run([*command, *arguments], cwd=BASE_DIR, timeout=PATIENCE).returncode
    except subprocess.TimeoutExpired:
        print(f"LangGraph's tests took longer than {PATIENCE} s.")
        return 1


def _judged(outcomes: Mapping[str, Any]) -> int:
    known = lists.expected()
    new, gone = lists.changed(known, outcomes["failed"], outcomes["passed"])
    for one in new:
        print(f"fails, and is not expected to: {one.test}: {one.reason}")
    for one in gone:
        print(f"is expected to fail, and does not: {one.line()}")
    if new or gone:
        print("Mend it, or correct the list: python -m tests.langgraph_suite --update")
    _share(outcomes, known)
    return 1 if new or gone else 0


def _updated(outcomes: Mapping[str, Any]) -> int:
    known = lists.expected()
    new, gone = lists.changed(known, outcomes["failed"], outcomes["passed"])
    for one in gone:
        print(f"- {one.line()}")
        del known[one.test]
    for one in new:
        print(f"+ {one.line()}")
        known[one.test] = one
    lists.written(known.values())
    print("The reasons of new lines are what the tests said: put in why, and the category.")
    _share(outcomes, known)
    return 0


def _share(outcomes: Mapping[str, Any], known: Mapping[str, lists.Expected]) -> None:
    passed, failed = len(outcomes["passed"]), len(outcomes["failed"])
    count = Counter(known[test].category for test in outcomes["failed"] if test in known)
    kinds = ", ".join(f"{count[name]} {name}" for name in lists.CATEGORIES)
    share = passed / max(passed + failed, 1)
    print(
        f"LangGraph {sdist.VERSION}: {passed} of {passed + failed} tests in scope pass "
        f"({share:.1%}); expected to fail: {kinds}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
