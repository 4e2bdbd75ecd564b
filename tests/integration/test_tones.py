"""Each notification of a commit says whether a run may have ended with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from runs.lifecycle import cancellation
from runs.models import Run, RunStatus
from runs.notify import changes, pipes
from runs.operations.cancel import cancel_run
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from runs.scheduling import recovery
from streaming.listening.database import DatabaseChanges

pytestmark = pytest.mark.django_db(transaction=True)

EARLIER = timezone.now() - timedelta(hours=1)


@contextmanager
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Whether a run may have ended, of each ring inside the block; on Postgres those that are alike
    in one transaction are one."""
    told: list[bool] = []
    if connection.vendor == "sqlite":
        monkeypatch.setattr(pipes, "notify", lambda *, ended=True: told.append(ended))
        yield told
        return
    connection.ensure_connection()
    parameters = connection.get_connection_params()
    plain = {k: v for k, v in parameters.items() if k not in ("cursor_factory", "context")}
    with psycopg.connect(**plain, autocommit=True) as listening:
        listening.execute(f"LISTEN {changes.WATCHERS}")
        yield told
        told += [note.payload != changes.NOT_ENDED for note in listening.notifies(timeout=0.5)]


@pytest.mark.parametrize(("given", "end"), [("a", "completed"), ("fail", "failed")])
def test_only_the_last_commit_of_a_run_says_that_one_may_have_ended(
    trail: str,
    drain: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    given: str,
    end: str,
) -> None:
    with heard(monkeypatch) as told:
        run = create_run(NewRun(workflow=trail, payload={"input": given}))
        drain()
    assert Run.objects.get(id=run.id).status == end
    assert told.count(True) == 1
    assert told.count(False) >= 3, "of the creation, the claim and the steps"
    assert told[-1]


def cancelled_while_it_waits(run: Run) -> None:
    cancel_run(run.id)


def deleted(run: Run) -> None:
    run.delete()


def interrupted_for_another(run: Run) -> None:
    thread, payload = run.thread_id, {"input": "x"}
    new = NewRun(
        workflow=run.workflow, payload=payload, thread=thread, multitask_strategy="interrupt"
    )
    create_run(new)


def lost_too_often(run: Run) -> None:
    held = {"status": RunStatus.RUNNING, "lease_expires_at": EARLIER}
    Run.objects.filter(id=run.id).update(**held, crashes=2)
    assert recovery.sweep(timezone.now()).failed == 1


def deaf_to_its_cancellation(run: Run) -> None:
    held = {"status": RunStatus.RUNNING, "lease_expires_at": EARLIER}
    Run.objects.filter(id=run.id).update(**held, cancel_requested_at=EARLIER)
    assert recovery.sweep(timezone.now()).cancelled == 1


def left_by_its_worker(run: Run) -> None:
    held = {"status": RunStatus.RUNNING, "cancel_requested_at": EARLIER}
    Run.objects.filter(id=run.id).update(**held)
    assert cancellation.overdue(cancellation._REQUESTED, timezone.now()) == 1


@pytest.mark.parametrize(
    "act",
    [
        cancelled_while_it_waits,
        deleted,
        interrupted_for_another,
        lost_too_often,
        deaf_to_its_cancellation,
        left_by_its_worker,
    ],
)
def test_every_other_end_is_told_as_one(
    trail: str, monkeypatch: pytest.MonkeyPatch, act: Callable[[Run], None]
) -> None:
    run = create_run(NewRun(workflow=trail, payload={"input": "a"}))
    with heard(monkeypatch) as told:
        act(run)
    assert True in told


@pytest.mark.skipif("connection.vendor != 'postgresql'")
async def test_notifications_say_it_to_the_web_process() -> None:
    reported: asyncio.Queue[bool] = asyncio.Queue()

    def on_change(*, ended: bool = True) -> None:
        reported.put_nowait(ended)

    listening = asyncio.create_task(DatabaseChanges().listen(on_change))
    async with asyncio.timeout(90):
        assert await reported.get() is True, "when it begins, anything may have happened"
        for ended in (False, True):
            await asyncio.to_thread(_announce, ended=ended)
            assert await reported.get() is ended
    listening.cancel()
    with suppress(asyncio.CancelledError):
        await listening


def _announce(*, ended: bool) -> None:
    changes.notify_changes(ended=ended)
    connection.close()
