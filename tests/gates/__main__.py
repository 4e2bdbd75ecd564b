"""The list of gates. `python -m tests.gates` runs all; names of groups or gates pick some."""

from __future__ import annotations

import os
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from fastgraph_site.environment import BASE_DIR
from tests import needs
from tests.gates import browser, frontend, tree
from tests.gates.runner import Gate, report, run
from tests.langgraph_suite import sdist

PYTHON = sys.executable
TOOLS = Path(PYTHON).parent
# By name: an app that its user keeps in the checkout is not ours to judge.
OURS = ("manage.py", "fastgraph_site", "runs", "artifacts", "streaming", "tests", "bench")
DURABLE = ("contract", "integration", "streaming", "acceptance")
# Of one length and not to be guessed: no name of one session is a part of another session's.
DATABASE = f"fastgraph_{uuid.uuid4().hex[:12]}"


def _always(*command: str) -> Callable[[], Sequence[str]]:
    return lambda: command


def _manage(*arguments: str) -> Callable[[], Sequence[str]]:
    return _always(PYTHON, "manage.py", *arguments)


def _pytest(*arguments: str) -> Callable[[], Sequence[str]]:
    return _always(PYTHON, "-m", "pytest", "-n", "2", "--dist", "loadfile", *arguments)


def _frontend(task: str) -> Gate:
    def command() -> Sequence[str]:
        frontend.npm()  # raises where there is no Node, so that the gate is skipped with the reason
        return (PYTHON, "-m", "tests.gates.frontend", task)

    return Gate(name=f"frontend {task}", group="frontend", command=command)


def _provide_browser() -> Sequence[str]:
    return (browser.provide(), "--version")


def _langgraph() -> Sequence[str]:
    sdist.unpacked()  # raises where it cannot be had, so that the gate is skipped
    return (PYTHON, "-m", "tests.langgraph_suite")


def _on_postgres() -> Mapping[str, str]:
    return {"DATABASE_URL": needs.postgres_url(DATABASE)}


def gates() -> list[Gate]:
    """Every gate, the quick ones first."""
    schema = ("spectacular", "--validate", "--fail-on-warn", "--file", os.devnull)
    tests = [f"tests/{folder}" for folder in DURABLE]
    return [
        Gate(
            name="ruff check",
            group="lint",
            command=_always(PYTHON, "-m", "ruff", "check", *OURS),
        ),
        Gate(
            name="ruff format",
            group="lint",
            command=_always(PYTHON, "-m", "ruff", "format", "--check", *OURS),
        ),
        Gate(name="mypy", group="lint", command=_always(PYTHON, "-m", "mypy")),
        Gate(
            name="imports",
            group="lint",
            command=_always(str(TOOLS / "lint-imports"), "--no-cache"),
        ),
        Gate(name="manage.py check", group="lint", command=_manage("check")),
        Gate(
            name="migrations",
            group="lint",
            command=_manage("makemigrations", "--check", "--dry-run"),
        ),
        Gate(name="API schema", group="lint", command=_manage(*schema)),
        *map(_frontend, ("packages", "lint", "types", "test", "compare")),
        Gate(name="browser", group="pytest", command=_provide_browser),
        Gate(name="pytest on SQLite", group="pytest", command=_pytest(), live=True),
        Gate(
            name="pytest on Postgres",
            group="pytest",
            command=_pytest(*tests),
            env=_on_postgres,
            live=True,
        ),
        Gate(name="LangGraph's tests", group="pytest", command=_langgraph, live=True),
        Gate(
            name="tree unchanged",
            group="pytest",
            command=_always(PYTHON, "-m", "tests.gates.tree", tree.state()),
        ),
    ]


def _drop_databases() -> None:
    """Drops what a killed test process left on Postgres; does nothing where there is no server."""
    try:
        url = needs.postgres_url()
    except needs.Missing:
        return
    with psycopg.connect(url, autocommit=True) as connection:
        left = connection.execute(
            "SELECT datname FROM pg_database WHERE position(%s in datname) > 0", [DATABASE]
        )
        for (name,) in left.fetchall():
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            connection.execute(drop.format(sql.Identifier(name)))


def environment(data_dir: str) -> Mapping[str, str]:
    """What every gate runs in: the developer's own, but for the database, which is the gates' to
    choose."""
    return {**os.environ, "FASTGRAPH_DATA_DIR": data_dir, "DATABASE_URL": ""}


def main(wanted: Sequence[str]) -> int:
    """Runs the gates of the groups or names `wanted`, or all; 0 when none failed."""
    os.chdir(BASE_DIR)
    chosen = [gate for gate in gates() if not wanted or {gate.group, gate.name} & set(wanted)]
    if not chosen:
        print(f"Nothing is called {', '.join(wanted)}. Groups: lint, frontend, pytest.")
        return 2
    with tempfile.TemporaryDirectory(prefix="fastgraph-gates-") as folder:
        try:
            outcomes = run(chosen, environment(folder))
        finally:
            _drop_databases()
    return report(outcomes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
