"""Forks: a copy of an older checkpoint, for another run to continue from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from . import ids
from .checkpoint import Checkpoint


def fork_checkpoint(
    parent: Checkpoint,
    *,
    run_id: str,
    created_ms: int,
    created_at: datetime,
    changed: Iterable[str] = (),
) -> Checkpoint:
    """A copy of `parent` that belongs to the run `run_id`, which was created at `created_ms`
    (milliseconds since 1970). The same tasks run next.

    The frontier's `origin` names the checkpoint that the first fork is a copy of. Tasks derive
    the ids of their interrupts from it, so an interrupt has the same id in every fork.

    The fork's own version replaces the version of the channels in `changed`. The caller stores
    their values under it: it is the `checkpoint_id` of the fork.
    """
    checkpoint_id = ids.checkpoint_id(
        run_id=run_id, millis=created_ms, namespace=parent.namespace, step=parent.step
    )
    origin = parent.frontier.origin or parent.checkpoint_id
    return replace(
        parent,
        checkpoint_id=checkpoint_id,
        run_id=run_id,
        parent_id=parent.checkpoint_id,
        source="fork",
        versions={**parent.versions, **dict.fromkeys(changed, checkpoint_id)},
        frontier=replace(parent.frontier, origin=origin),
        created_at=created_at,
    )
