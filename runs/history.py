"""Reading the record back: checkpoints, the values behind them, and what is recorded after them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Min, Q

from runs import models
from runs.engine import serde
from runs.engine.checkpoint import Change, Checkpoint, Frontier, Note, Saved
from runs.engine.events import CHECKPOINT
from runs.engine.graph import Graph
from runs.engine.restore import restore


@dataclass(frozen=True, kw_only=True)
class StateView:
    """The state at one checkpoint; `values` by key, as the nodes see them."""

    checkpoint: Checkpoint
    values: Mapping[str, Any]


def load(
    thread_id: str, namespace: str, checkpoint_id: str | None, run_id: str | None
) -> Saved | None:
    """What `Journal.load` answers. At most six queries, whatever the size of the history."""
    query = models.Checkpoint.objects.filter(thread_id=UUID(thread_id), namespace=namespace)
    if checkpoint_id is not None:
        row = query.filter(id=UUID(checkpoint_id)).first()
    else:
        head = models.Thread.objects.filter(id=UUID(thread_id)).values("checkpoint_id")
        row = query.filter(id__in=head).first() or query.order_by("-id").first()
    if row is None:
        return None
    checkpoint = _checkpoint(row)
    return Saved(
        checkpoint=checkpoint,
        chains=_chains(row, checkpoint.versions),
        notes=_notes(row, UUID(run_id) if run_id else row.run_id),
        heard=_heard(run_id) if run_id and not namespace else {},
        entered=_entered(row),
    )


def checkpoints(thread_id: str, namespace: str, limit: int | None) -> list[Checkpoint]:
    """A thread's checkpoints, newest first."""
    query = models.Checkpoint.objects.filter(thread_id=UUID(thread_id), namespace=namespace)
    return [_checkpoint(row) for row in query.order_by("-id")[:limit]]


def read_state(graph: Graph, thread_id: UUID, checkpoint_id: UUID) -> StateView | None:
    """The state of `thread_id` at a checkpoint, as `graph` understands it; None when there is no
    such checkpoint on that thread."""
    row = models.Checkpoint.objects.filter(thread_id=thread_id, id=checkpoint_id).first()
    if row is None:
        return None
    checkpoint = _checkpoint(row)
    position = restore(graph, checkpoint, _chains(row, checkpoint.versions))
    return StateView(checkpoint=checkpoint, values=position.values)


def _checkpoint(row: models.Checkpoint) -> Checkpoint:
    return Checkpoint(
        checkpoint_id=str(row.id),
        thread_id=str(row.thread_id),
        run_id=str(row.run_id or ""),
        namespace=row.namespace,
        parent_id=str(row.parent_id) if row.parent_id else None,
        step=row.step,
        source=row.source,  # type: ignore[arg-type]
        versions=serde.loads(row.versions),
        frontier=Frontier.loads(row.frontier),
        created_at=row.created_at,
    )


def _chains(row: models.Checkpoint, versions: Mapping[str, str]) -> dict[str, list[Change]]:
    """Each channel's changes from its last full value to the version that the checkpoint names.
    Other branches may have gone on from the same full value: a chain follows `previous`, and
    leaves theirs out."""
    stored = models.State.objects.filter(thread_id=row.thread_id, namespace=row.namespace)
    tips = {
        (state.channel, str(state.version)): state
        for state in stored.filter(version__in=set(versions.values()))
    }
    bases = {
        (channel, tips[channel, version].base)
        for channel, version in versions.items()
        if tips[channel, version].is_delta
    }
    deltas: dict[tuple[str, str], models.State] = {}
    if bases:
        wanted = Q()
        for channel, base in bases:
            wanted |= Q(channel=channel, base=base)
        deltas = {(state.channel, str(state.version)): state for state in stored.filter(wanted)}
    known = {**tips, **deltas}
    return {channel: _chain(known, channel, version) for channel, version in versions.items()}


def _chain(
    known: Mapping[tuple[str, str], models.State], channel: str, version: str
) -> list[Change]:
    chain: list[Change] = []
    at: str | None = version
    while at is not None:
        state = known[channel, at]
        chain.append(
            Change(
                channel=channel,
                version=at,
                base=str(state.base),
                previous=str(state.previous) if state.previous else None,
                value=state.value.encode(),
            )
        )
        at = chain[-1].previous if state.is_delta else None
    return chain[::-1]


def _notes(row: models.Checkpoint, run_id: UUID | None) -> list[Note]:
    """What a run has recorded since the checkpoint, in that order."""
    if run_id is None:
        return []
    found = models.PendingWrite.objects.filter(checkpoint_id=row.id, run_id=run_id).order_by("id")
    return [
        Note(
            task_id=str(note.task_id),
            node=note.node,
            kind=note.kind,  # type: ignore[arg-type]
            idx=note.idx,
            body=note.value.encode(),
        )
        for note in found
    ]


def _heard(run_id: str) -> dict[str, list[tuple[str, bytes]]]:
    """What the run's tasks stated since the last checkpoint of their namespace."""
    events = models.Event.objects.filter(run_id=UUID(run_id))
    checkpoints = events.filter(name=CHECKPOINT, namespace="").order_by("-seq")
    last = checkpoints.values_list("seq", flat=True).first()
    heard: dict[str, dict[str, list[tuple[str, bytes]]]] = {}
    told = events.filter(seq__gt=last or 0).order_by("seq")
    for task_id, name, namespace, data in told.values_list("task_id", "name", "namespace", "data"):
        if name == CHECKPOINT:
            heard.pop(namespace, None)
        elif task_id is not None:
            tasks = heard.setdefault(namespace, {})
            tasks.setdefault(str(task_id), []).append((name, data.encode()))
    return {task_id: told for tasks in heard.values() for task_id, told in tasks.items()}


def _entered(row: models.Checkpoint) -> int:
    """The step at which the checkpoint's run began."""
    if row.run_id is None:
        return row.step
    own = models.Checkpoint.objects.filter(run_id=row.run_id, namespace=row.namespace)
    begun = own.filter(source__in=("input", "fork")).aggregate(step=Min("step"))["step"]
    if begun is not None:
        return int(begun)
    return int(own.aggregate(step=Min("step"))["step"]) - 1
