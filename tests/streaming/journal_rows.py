"""Runs and events written as the journal writes them, by this process and by another one."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar
from uuid import UUID

from django.db import connection, connections, transaction
from django.utils import timezone

from runs.engine.ids import uuid7
from runs.models import TERMINAL, Event, Run, RunStatus, Thread

P = ParamSpec("P")
T = TypeVar("T")


def create_run(*names: str, workflow: str = "steps") -> UUID:
    """A run whose log is `created` and then `names`."""
    run = Run.objects.create(id=uuid7(), thread=Thread.objects.create(), workflow=workflow)
    append(run.id, "created", *names)
    return run.id


def append(run_id: UUID, *names: str, size: int = 0) -> None:
    """Commit events with these names, and what they change of the run, in one transaction. With
    `size`, each has about so many bytes of data."""
    data = json.dumps({"text": "x" * size}, separators=(",", ":")) if size else ""
    now = timezone.now()
    with transaction.atomic():
        run = Run.objects.get(id=run_id)
        numbered = list(enumerate(names, start=run.seq + 1))
        Event.objects.bulk_create(
            Event(run=run, seq=seq, name=name, ts=now, node="parse", data=data)
            for seq, name in numbered
        )
        run.seq += len(numbered)
        run.step += names.count("checkpoint")
        run.updated_at = now
        if "started" in names:
            run.status, run.started_at = RunStatus.RUNNING, now
        if names[-1] in TERMINAL:
            run.status, run.finished_at = RunStatus(names[-1]), now
        run.save()
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_notify('fastgraph', '')")


async def committed(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `function` returns, run in a thread that leaves no connection behind."""

    def run() -> T:
        try:
            return function(*args, **kwargs)
        finally:
            connections.close_all()

    return await asyncio.to_thread(run)


def database_url() -> str:
    """Where another process finds the database under test."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    login = f"{database['USER']}:{database['PASSWORD']}".rstrip(":")
    host = f"{database['HOST'] or '127.0.0.1'}:{database['PORT'] or 5432}"
    return f"postgres://{login}@{host}/{database['NAME']}"


def environment() -> dict[str, str]:
    """The environment of a process that works on the database under test."""
    return {
        **os.environ,
        "DATABASE_URL": database_url(),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }


async def append_elsewhere(run_id: UUID, *names: str) -> None:
    """`append`, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.streaming.writer", str(run_id), *names, env=environment()
    )
    assert await process.wait() == 0
