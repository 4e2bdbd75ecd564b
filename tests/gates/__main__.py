"""The list of gates. `python -m tests.gates` runs all; names of groups or gates pick some."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from fastgraph_site.environment import BASE_DIR
from tests.gates import again, browser, frontend, tree
from tests.gates.runner import Gate, report, run
from tests.langgraph_suite import sdist
from tests.support import needs

PYTHON = sys.executable
TOOLS = Path(PYTHON).parent
# By name: an app that its user keeps in the checkout is not ours to judge.
OURS = ("manage.py", "fastgraph_site", "runs", "artifacts", "streaming", "tests", "bench")
# Of one length and not to be guessed: no name of one session is a part of another session's.
DATABASE = f"fastgraph_{uuid.uuid4().hex[:12]}"


def _always(*command: str) -> Callable[[], Sequence[str]]:
    return lambda: command


def _tests(*, second: bool, postgres: bool) -> Gate:
    """The tests of one tier on one database."""
    mark = "processes" if second else "not processes"
    command = [PYTHON, "-m", "pytest", "-n", "2", "--dist", "worksteal", "-m", mark]
    database = "Postgres" if postgres else "SQLite"
    return Gate(
        name=f"{'processes' if second else 'deterministic'}, {database}",
        group="processes" if second else "deterministic",
        stage="processes" if second else "deterministic",
        lane=database,
        command=_always(*command, *(["--only-database"] if postgres else [])),
        env=_on_postgres if postgres else dict,
        live=True,
        recorded=True,
        again=second,
    )


def _frontend(task: str) -> Gate:
    def command() -> Sequence[str]:
        frontend.npm()  # raises where there is no Node, so that the gate is skipped with the reason
        return (PYTHON, "-m", "tests.gates.frontend", task)

    return Gate(
        name=f"frontend {task}", group="frontend", stage="read", lane="frontend", command=command
    )


def _lint(name: str, *command: str) -> Gate:
    return Gate(name=name, group="lint", stage="read", command=_always(*command))


def _provide_browser() -> Sequence[str]:
    return (browser.provide(), "--version")


def _langgraph() -> Sequence[str]:
    sdist.unpacked()  # raises where it cannot be had, so that the gate is skipped
    return (PYTHON, "-m", "tests.langgraph_suite")


def _on_postgres() -> Mapping[str, str]:
    return {"DATABASE_URL": needs.postgres_url(DATABASE)}


def gates() -> list[Gate]:
    """Every gate, in stages: those that read, the tests of both tiers, what needs all before it."""
    manage = (PYTHON, "manage.py")
    schema = ("spectacular", "--validate", "--fail-on-warn", "--file", os.devnull)
    return [
        _lint("ruff check", PYTHON, "-m", "ruff", "check", *OURS),
        _lint("ruff format", PYTHON, "-m", "ruff", "format", "--check", *OURS),
        _lint("mypy", PYTHON, "-m", "mypy"),
        _lint("imports", str(TOOLS / "lint-imports"), "--no-cache"),
        _lint("manage.py check", *manage, "check"),
        _lint("migrations", *manage, "makemigrations", "--check", "--dry-run"),
        _lint("API schema", *manage, *schema),
        *map(_frontend, ("packages", "lint", "types", "test", "compare")),
        Gate(name="browser", group="processes", stage="browser", command=_provide_browser),
        _tests(second=False, postgres=False),
        _tests(second=False, postgres=True),
        _tests(second=True, postgres=False),
        _tests(second=True, postgres=True),
        Gate(
            name="LangGraph's tests",
            group="pytest",
            stage="last",
            command=_langgraph,
            live=True,
        ),
        Gate(
            name="tree unchanged",
            group="pytest",
            stage="last",
            command=_always(PYTHON, "-m", "tests.gates.tree", tree.state()),
        ),
    ]


#: A name that picks gates of several groups.
GROUPS = {"pytest": {"deterministic", "processes", "pytest"}}
NAMES = ("lint", "frontend", "pytest", "deterministic", "processes")


def chosen(wanted: Sequence[str]) -> list[Gate]:
    """The gates of the groups or names `wanted`; all when nothing is."""
    names = set(wanted).union(*(GROUPS.get(name, set()) for name in wanted))
    return [gate for gate in gates() if not wanted or {gate.group, gate.name} & names]


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
    begin = time.monotonic()
    picked = chosen(wanted)
    if not picked:
        print(f"Nothing is called {', '.join(wanted)}. Groups: {', '.join(NAMES)}.")
        return 2
    shutil.rmtree(again.KEPT, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="fastgraph-gates-") as folder:
        try:
            outcomes = run(picked, environment(folder))
        finally:
            _drop_databases()
    return report(outcomes, time.monotonic() - begin)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
