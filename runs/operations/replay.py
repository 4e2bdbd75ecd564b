"""Replaying runs: a new run that starts like another one, or at one of its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, transaction
from django.db.models import Max, Min
from django.utils import timezone

from runs import workflows
from runs.db import statements
from runs.engine import events, serde
from runs.errors import Problem
from runs.journal import reading
from runs.lifecycle import notification, transitions
from runs.models import Checkpoint, Payload, Run, State, Thread
from runs.operations import concurrency_keys
from runs.operations.create import created_event, lock_threads
from runs.operations.new_run import check_payload, find_workflow, object_faults, raise_if_invalid
from runs.validation import pointer, type_faults


def replay_run(
    run_id: UUID, *, from_step: int | None = None, changes: Mapping[str, Any] | None = None
) -> Run:
    """A new run of the same workflow, pending, with `source_run` set.

    Without `from_step` it begins again with the payload, on a thread of its own; `changes` then
    replace top-level values of the payload. With `from_step` it goes on, on the same thread, from
    the checkpoint that the run wrote after that step; `changes` are then new values of state
    channels. Problem 404 for an unknown run, 422 for the rest.
    """
    changes = {} if changes is None else changes
    raise_if_invalid(object_faults(changes, "/set"))
    source = Run.objects.filter(pk=run_id).first()
    if source is None:
        raise Problem(404, "unknown_run", f"There is no run {run_id}.")
    workflow = find_workflow(source.workflow)
    if from_step is None:
        return _replay_from_start(source, workflow, changes)
    return _replay_from_step(source, workflow, from_step, changes)


def _replay_from_start(
    source: Run, workflow: workflows.Workflow, changes: Mapping[str, Any]
) -> Run:
    payload = {**(source.given or {}), **changes}
    check_payload(workflow, payload)
    with transaction.atomic():
        return _insert(_copy(source, workflow, Thread.objects.create(), payload))


def _replay_from_step(
    source: Run, workflow: workflows.Workflow, from_step: int, changes: Mapping[str, Any]
) -> Run:
    checkpoint = _checkpoint(source, from_step)
    _check_channels(workflow, changes)
    with transaction.atomic():
        run = _copy(source, workflow, _lock_thread(source.thread_id), source.payload)
        run.checkpoint_id = checkpoint.id
        run.step = checkpoint.step
        _insert(run)
        if changes:
            forked = _fork(run, checkpoint, changes)
            run.checkpoint_id = forked.id
            data = {"checkpoint_id": str(forked.id), "next": forked.next_nodes}
            event = events.Event(
                name=events.CHECKPOINT,
                ts=run.created_at,
                step=forked.step,
                data=orjson.dumps(data),
            )
            transitions.record(run, "checkpoint_id", now=run.created_at, appended=[event])
        return run


def _copy(source: Run, workflow: workflows.Workflow, thread: Thread, payload: Any) -> Run:
    place = concurrency_keys.place_again(workflow, source, payload)
    return Run(
        thread=thread,
        workflow=workflow.name,
        workflow_version=workflow.version,
        name=source.name,
        payload=payload,
        metadata=source.metadata,
        tags=source.tags,
        durability=source.durability,
        concurrency_key=place.key,
        concurrency_limit=place.limit,
        source_run=source,
    )


def _insert(run: Run) -> Run:
    """Run, event 1 and wake-up; the caller owns the transaction."""
    payloads = Payload.apart([run])
    first_event = transitions.created(run, created_event(run))
    run.save(force_insert=True)
    statements.create(connection, Payload, payloads)
    first_event.save(force_insert=True)
    notification.wake_worker()
    notification.notify_watchers()
    return run


def _lock_thread(thread_id: UUID) -> Thread:
    return lock_threads([thread_id])[thread_id]


def _checkpoint(source: Run, step: int) -> Checkpoint:
    own = Checkpoint.objects.filter(run=source, namespace="")
    checkpoint = own.filter(step=step).order_by("-id").first()
    if checkpoint is not None:
        return checkpoint
    known = own.aggregate(first=Min("step"), last=Max("step"))
    detail = (
        f"Run {source.id} has no checkpoint of step {step}: it has those of steps"
        f" {known['first']} to {known['last']}."
        if known["first"] is not None
        else f"Run {source.id} has no checkpoint yet. Leave `from_step` out to begin again."
    )
    raise Problem(
        422, "unknown_step", detail, [{"at": "/from_step", "detail": "No checkpoint of this step."}]
    )


def _check_channels(workflow: workflows.Workflow, changes: Mapping[str, Any]) -> None:
    known = workflow.graph.graph.channels
    unknown = [channel for channel in changes if channel not in known]
    if unknown:
        raise Problem(
            422,
            "unknown_channel",
            f"Workflow {workflow.name!r} has no state channel {', '.join(map(repr, unknown))}."
            f" It has: {', '.join(known)}.",
            [{"at": pointer("/set", [name]), "detail": "No such channel."} for name in unknown],
        )
    raise_if_invalid(
        type_faults(workflow, partial(workflow.graph.state_faults, changes), "/set"),
        f"The values do not fit the state of workflow {workflow.name!r}",
    )


def _fork(run: Run, parent: Checkpoint, changes: Mapping[str, Any]) -> Checkpoint:
    """A checkpoint of `run` at the step of `parent`, on the same thread, with the same to run next
    and the same questions.

    Each channel in `changes` is set to its value there, not merged by the reducer of the channel;
    the other channels are as at `parent`. The caller owns the transaction.
    """
    forked = reading.checkpoint_of(parent).fork(
        run_id=str(run.id),
        created_ms=int(run.created_at.timestamp() * 1000),
        now=timezone.now(),
    )
    version = UUID(forked.checkpoint_id)
    values = {channel: serde.dumps(value).decode() for channel, value in changes.items()}
    State.objects.bulk_create(
        State(
            thread_id=parent.thread_id,
            namespace=parent.path,
            channel=channel,
            version=version,
            base=version,
            value=value,
            size=len(value.encode()),
        )
        for channel, value in values.items()
    )
    versions = dict(forked.versions) | dict.fromkeys(values, forked.checkpoint_id)
    return Checkpoint.objects.create(
        id=version,
        thread_id=parent.thread_id,
        run=run,
        namespace=parent.namespace,
        full_namespace=parent.full_namespace,
        parent_id=parent.id,
        step=forked.step,
        source=forked.source,
        versions=serde.dumps(versions).decode(),
        frontier=forked.frontier.dumps().decode(),
        created_at=forked.created_at,
    )
