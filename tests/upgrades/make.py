"""Makes a dump of the database that a version of FastGraph Server leaves behind.

`python tests/upgrades/make.py CHECKOUT FILE` with the virtualenv of that version: CHECKOUT is its
source tree, FILE the dump to write. Run it on the version before a new migration, once: a test
asks for the dump of every state of the migrations.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from time import monotonic, sleep
from typing import Any

APPS = ("runs", "artifacts")


def main(checkout: str, file: str) -> None:
    """Start runs of every kind, let them come to where they wait, and write what is stored."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        child = [sys.executable, __file__, checkout]
        environment = os.environ | {
            "FASTGRAPH_DATA_DIR": folder,
            "FASTGRAPH_LEASE_SECONDS": "5",
            "UPGRADES_BY": "old",
        }
        subprocess.run([*child, "--runs"], env=environment, check=True)
        sign = data / "hangs"
        hanging = environment | {"UPGRADES_HANG": str(sign)}
        worker = subprocess.Popen([*child, "--hang"], env=hanging)
        _wait(sign.exists)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        subprocess.run([*child, "--last"], env=environment, check=True)
        dump = [*_tables(data), *_files(data / "artifacts")]
        Path(file).write_text("".join(f"{json.dumps(line)}\n" for line in dump))


def _wait(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = monotonic() + seconds
    while not true():
        if monotonic() > deadline:
            raise TimeoutError("what the dump is to show did not come about")
        sleep(0.05)


def _tables(data: Path) -> Iterator[list[Any]]:
    """What is migrated, and the rows of our tables without ids that the database counts."""
    (database,) = data.glob("*.sqlite3")
    with sqlite3.connect(database) as connection:
        connection.row_factory = sqlite3.Row
        query = "SELECT app, name FROM django_migrations WHERE app IN (?, ?) ORDER BY id"
        for row in connection.execute(query, APPS).fetchall():
            yield ["migration", *row]
        named = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        for (table,) in connection.execute(named).fetchall():
            if table.partition("_")[0] not in APPS:
                continue
            columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
            types = {one["name"]: one["type"].lower() for one in columns}
            for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall():
                yield ["row", table, _row(dict(row), types)]


def _row(row: dict[str, Any], types: dict[str, str]) -> dict[str, Any]:
    if types.get("id") == "integer":
        del row["id"]
    return {
        name: bool(value) if types[name] == "bool" and value is not None else value
        for name, value in row.items()
    }


def _files(folder: Path) -> Iterator[list[str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name[0] != ".":
            encoded = base64.b64encode(path.read_bytes()).decode()
            yield ["file", str(path.relative_to(folder)), encoded]


def _child(checkout: str, what: str) -> None:
    """One of the processes that fill the database, with the code of `checkout`."""
    sys.path[0] = checkout
    os.chdir(checkout)
    os.environ["DJANGO_SETTINGS_MODULE"] = "fastgraph_site.settings"
    import django

    django.setup()
    name = "tests.upgrades.workflows"  # as it is imported later: functions are known by it
    spec = spec_from_file_location(name, Path(__file__).with_name("workflows.py"))
    assert spec is not None and spec.loader is not None
    sys.modules[name] = module = module_from_spec(spec)
    spec.loader.exec_module(module)
    {"--runs": _make_runs, "--hang": _hang, "--last": _make_last}[what]()


def _start(workflow: str, name: str, payload: dict[str, Any] | None = None, **more: Any) -> Any:
    from runs import workflows
    from runs.operations.create import create_run
    from runs.operations.new_run import NewRun

    workflow = f"upgrade_{workflow}"
    if workflow not in workflows.names():
        return None
    given = {"log": ["given"]} if payload is None else payload
    return create_run(NewRun(workflow=workflow, name=name, payload=given, **more))


def _drain() -> None:
    from django.conf import settings

    from artifacts.store import store
    from runs.worker.worker import Worker

    settings.FASTGRAPH = {**settings.FASTGRAPH, "linger_seconds": 0.5}
    asyncio.run(Worker(store()).drain())


def _make_runs() -> None:
    from django.core.management import call_command

    from runs.operations.replay import replay_run

    call_command("migrate", verbosity=0)
    done = _start("chain", "completed", tags=["old"], metadata={"by": "an old version"})
    _start("chain", "large", {"log": ["x" * 9_000]})
    _start("failing", "failed")
    first = _start("talking", "talked", {"messages": [{"role": "user", "content": "one"}]})
    for kind in ("asking", "asking_at_once", "asking_after_steps", "asking_inside", "sending"):
        _start(kind, f"{kind} waits")
    _start("asking_in_tasks", "asking_in_tasks waits", {"input": 1})
    _start("stopping", "stopping waits")
    for kind in ("asking", "asking_after_steps", "asking_at_once"):
        _start(kind, f"{kind} answered")
    _start("asking", "cancelled")
    _start("asking", "asking paused")
    _start("sleeping", "sleeping")
    _drain()
    again = [{"role": "user", "content": "two"}]
    _start("talking", "talked again", {"messages": again}, thread=first.thread_id)
    replay_run(done.id, from_step=1)
    _drain()


def _resume() -> Callable[..., Any] | None:
    try:
        from runs.operations.resume import resume_run
    except ImportError:
        return None
    from runs.engine import Command

    return lambda run_id, answer: resume_run(run_id, Command(resume=answer))


def _pause() -> Callable[..., Any] | None:
    try:
        from runs.operations.pause import pause_run
    except ImportError:
        return None
    return pause_run


def _hang() -> None:
    _start("hanging", "running")
    _drain()


def _make_last() -> None:
    from runs.models import Run
    from runs.operations.cancel import cancel_run

    _start("chain", "pending")
    found = {run.name: run.id for run in Run.objects.exclude(name="")}
    for name, run_id in found.items():
        if name.endswith(" answered") and (resume := _resume()):
            resume(run_id, "said before")
    if "cancelled" in found:
        cancel_run(found["cancelled"], by="somebody", reason="to show it")
    if "asking paused" in found and (pause := _pause()):
        pause(found["asking paused"], by="somebody", reason="to show it")
    print(*sorted(Run.objects.values_list("name", "status")), sep="\n")


if __name__ == "__main__":
    if len(sys.argv) == 3 and not sys.argv[2].startswith("--"):
        main(*sys.argv[1:])
    else:
        _child(*sys.argv[1:])
