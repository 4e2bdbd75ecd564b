"""Forks: a checkpoint again, with some of its state changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.utils import timezone

from runs.engine import ids, serde
from runs.models import Checkpoint, Run, State


def fork(run: Run, parent: Checkpoint, changes: Mapping[str, Any]) -> Checkpoint:
    """A checkpoint of `run` at the step of `parent`, with the same to run next: its state is that
    of `parent` with each channel in `changes` set to the value given there (set, not merged by the
    channel's reducer). Both are on one thread; the caller owns the transaction."""
    version = UUID(
        ids.checkpoint_id(
            run_id=str(run.id),
            millis=int(run.created_at.timestamp() * 1000),
            namespace=parent.path,
            step=parent.step,
        )
    )
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
    versions = serde.loads(parent.versions) | dict.fromkeys(values, str(version))
    return Checkpoint.objects.create(
        id=version,
        thread_id=parent.thread_id,
        run=run,
        namespace=parent.namespace,
        full_namespace=parent.full_namespace,
        parent_id=parent.id,
        step=parent.step,
        source="fork",
        versions=serde.dumps(versions).decode(),
        frontier=parent.frontier,
        created_at=timezone.now(),
    )
