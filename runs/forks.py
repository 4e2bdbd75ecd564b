"""Forks: a checkpoint with edited values, for a new run to go on from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from runs import history, models
from runs.engine import events, ids, serde
from runs.engine.graph import Graph


def fork(graph: Graph, run: models.Run, checkpoint_id: UUID, changes: Mapping[str, Any]) -> UUID:
    """Write the checkpoint of `run` that follows `checkpoint_id` with `changes` in place of those
    channels' values, and its event; the caller owns the transaction and has locked the run's
    thread. Nothing executes. Returns the new checkpoint's id and leaves `run` pointing at it."""
    view = history.read_state(graph, run.thread_id, checkpoint_id)
    if view is None:
        raise ValueError(f"Thread {run.thread_id} has no checkpoint {checkpoint_id}.")
    step = view.checkpoint.step + 1
    millis = int(run.created_at.timestamp() * 1000)
    new_id = ids.checkpoint_id(run_id=str(run.id), millis=millis, namespace="", step=step)
    version = UUID(new_id)
    previous = view.checkpoint.versions
    models.State.objects.bulk_create(
        _state(run, version, channel, value, previous.get(channel))
        for channel, value in changes.items()
    )
    models.Checkpoint.objects.create(
        id=version,
        thread_id=run.thread_id,
        run=run,
        parent_id=checkpoint_id,
        step=step,
        source="fork",
        versions=serde.dumps({**previous, **dict.fromkeys(changes, new_id)}).decode(),
        frontier=view.checkpoint.frontier.dumps().decode(),
        created_at=run.created_at,
    )
    told = {"checkpoint_id": new_id, "next": view.checkpoint.frontier.next_nodes}
    _state_event(run, events.CHECKPOINT, step, run.created_at, told)
    run.step, run.checkpoint_id = step, version
    run.save(update_fields=["step", "checkpoint_id", "seq"])
    return version


def _state(
    run: models.Run, version: UUID, channel: str, value: Any, previous: str | None
) -> models.State:
    stored = serde.dumps(value).decode()
    return models.State(
        thread_id=run.thread_id,
        channel=channel,
        version=version,
        base=version,
        previous=UUID(previous) if previous else None,
        value=stored,
        size=len(stored),
    )


def _state_event(
    run: models.Run, name: str, step: int, now: datetime, told: Mapping[str, Any]
) -> None:
    run.seq += 1
    models.Event.objects.create(
        run=run, seq=run.seq, name=name, ts=now, step=step, data=serde.dumps(dict(told)).decode()
    )
