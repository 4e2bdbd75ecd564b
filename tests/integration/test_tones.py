"""What rings when a worker commits says whether a run has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection

from runs import bells, doorbell
from runs.manager import NewRun, create_run
from runs.models import Run

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Whether a run may have ended, of each ring inside the block; on Postgres those that are alike
    in one transaction are one."""
    told: list[bool] = []
    if connection.vendor == "sqlite":
        monkeypatch.setattr(bells, "ring", lambda *, ended=True: told.append(ended))
        yield told
        return
    connection.ensure_connection()
    parameters = connection.get_connection_params()
    plain = {k: v for k, v in parameters.items() if k not in ("cursor_factory", "context")}
    with psycopg.connect(**plain, autocommit=True) as listening:
        listening.execute(f"LISTEN {doorbell.CHANGES}")
        yield told
        told += [note.payload != doorbell.MOVED for note in listening.notifies(timeout=0.5)]


@pytest.mark.parametrize(("given", "end"), [("a", "completed"), ("fail", "failed")])
def test_only_the_last_commit_of_a_run_says_that_one_may_have_ended(
    trail: str,
    drain: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    given: str,
    end: str,
) -> None:
    run = create_run(NewRun(workflow=trail, payload={"input": given}))
    with heard(monkeypatch) as told:
        drain()
    assert Run.objects.get(id=run.id).status == end
    assert told.count(True) == 1
    assert told.count(False) >= 2, "of the claim and of the steps"
    assert told[-1]
