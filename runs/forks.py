"""Forks: a copy of a checkpoint with some of its state changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.utils import timezone

from runs import history
from runs.engine import serde
from runs.models import Checkpoint, Run, State


def fork(run: Run, parent: Checkpoint, changes: Mapping[str, Any]) -> Checkpoint:
    """A checkpoint of `run` at the step of `parent`, on the same thread, with the same to run next
    and the same questions.

    Each channel in `changes` is set to its value there, not merged by the reducer of the channel;
    the other channels are as at `parent`. The caller owns the transaction.
    """
    forked = history.checkpoint_of(parent).fork(
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
