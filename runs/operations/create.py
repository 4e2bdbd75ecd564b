"""Creating runs.

Each function is one transaction: the thread, the run, its first event and the wake-up exist
together or not at all. When it returns, the run is durable.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

import orjson
from django.db import connection

from runs.db import statements
from runs.db.transaction import fast_transaction
from runs.engine import events
from runs.errors import Problem
from runs.lifecycle import notification, transitions
from runs.models import Event, Payload, Run, Thread
from runs.operations import multitask
from runs.operations.new_run import NewRun, ValidatedRun, validate


def create_run(new: NewRun) -> Run:
    """The new run, pending. Problem 422 for anything in `new` that does not fit: `invalid` with
    one error per fault, `unknown_workflow` or `unknown_thread`; 409 for a thread with an unfinished
    run and the strategy `reject`."""
    return create_runs([new])[0]


def create_runs(news: Sequence[NewRun]) -> list[Run]:
    """The new runs, pending, in the order given, all or none; they are claimed in that order.
    Problem 422 for the first that does not fit, as `create_run`; where there are several, faults
    are at `/<index>/…`."""
    wanted = validate(news)
    with fast_transaction(connection):
        return insert_runs(wanted)


def insert_runs(wanted: Sequence[ValidatedRun]) -> list[Run]:
    """Threads, runs, events 1 and one wake-up, a fixed number of statements, in the transaction
    that is open.

    Raises Problem 422 for an unknown thread, 409 for one that is to be rejected."""
    if not wanted:
        return []
    given = {one.new.thread: one.new.multitask_strategy for one in wanted if one.new.thread}
    multitask.lock_runs(given)
    known = lock_threads(list(given))
    made = [Thread() for one in wanted if one.new.thread is None]
    notification.wake_worker()  # first, because it asks before it writes
    statements.create(connection, Thread, made)
    fresh = iter(made)
    runs = [
        Run(
            thread=next(fresh) if one.new.thread is None else known[one.new.thread],
            workflow=one.workflow.name,
            workflow_version=one.workflow.version,
            name=one.new.name,
            payload=one.new.payload,
            metadata=one.new.metadata,
            tags=list(one.new.tags),
            priority=one.new.priority,
            durability=one.new.durability,
            concurrency_key=one.place.key,
            concurrency_limit=one.place.limit,
            idempotency_key=one.key,
            fingerprint=one.fingerprint,
        )
        for one in wanted
    ]
    for run, one in zip(runs, wanted, strict=True):
        if one.new.thread is not None:
            multitask.make_way(run.thread, one.new.multitask_strategy, run.pk)
    payloads = Payload.apart(runs)
    first_events = [transitions.created(run, created_event(run)) for run in runs]
    statements.create(connection, Run, runs)
    statements.create(connection, Payload, payloads)
    statements.create(connection, Event, first_events)
    notification.notify(ended=bool(given))  # of those that make way for them
    return runs


def created_event(run: Run) -> events.Event:
    """Event 1 of a new run."""
    data = orjson.dumps({"workflow": run.workflow, "name": run.name})
    return events.Event(name=events.CREATED, ts=run.created_at, data=data)


def lock_threads(thread_ids: Collection[UUID]) -> dict[UUID, Thread]:
    # Locked until the commit: a thread that is deleted meanwhile would leave a dangling run. In
    # the order of their ids, so that two who lock the same ones cannot wait for each other.
    threads = Thread.objects.select_for_update(no_key=True).order_by("id")
    found = {t.id: t for t in threads.filter(pk__in=thread_ids)} if thread_ids else {}
    for thread_id in thread_ids:
        if thread_id not in found:
            raise Problem(
                422,
                "unknown_thread",
                f"There is no thread {thread_id}. Leave `thread` out to begin a new one.",
                [{"at": "/thread", "detail": "This thread does not exist."}],
            )
    return found
