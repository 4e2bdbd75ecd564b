"""Reading the record back: checkpoints, the values behind them, and what is recorded after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Max, Min, Q

from runs import models
from runs.engine import serde
from runs.engine.checkpoint import Change, Checkpoint, Frontier, Note, Saved
from runs.engine.events import CHECKPOINT, NODE_UPDATE, RETRY, checkpoint_id_of
from runs.engine.graph.graph import Graph
from runs.engine.journal.replayed_events import forget_inside
from runs.engine.superstep.restore import restore
from runs.fields import indexed


@dataclass(frozen=True, kw_only=True)
class StateView:
    """The state at one checkpoint; `values` by key, as the nodes see them."""

    checkpoint: Checkpoint
    values: Mapping[str, Any]


def load(
    thread_id: str, namespace: str, checkpoint_id: str | None, run_id: str | None
) -> Saved | None:
    """What `Journal.load` answers. At most seven queries, whatever the size of the history."""
    query = models.Checkpoint.objects.filter(
        thread_id=UUID(thread_id), namespace=indexed(namespace)
    )
    if checkpoint_id is not None:
        row = query.filter(id=UUID(checkpoint_id)).first()
    elif namespace and run_id is not None:
        row = query.filter(run_id=UUID(run_id)).order_by("-id").first()
    else:
        head = models.Thread.objects.filter(id=UUID(thread_id)).values("checkpoint_id")
        row = query.filter(id__in=head).first() or query.order_by("-id").first()
    if row is None:
        return None
    checkpoint = checkpoint_of(row)
    return Saved(
        checkpoint=checkpoint,
        chains=_chains(row, checkpoint.versions),
        notes=_notes(row, UUID(run_id) if run_id else row.run_id),
        heard=heard(run_id, row) if run_id and not namespace else {},
        entered=_entered(row),
    )


def checkpoints(thread_id: str, namespace: str, limit: int | None) -> list[Checkpoint]:
    """A thread's checkpoints, newest first."""
    query = models.Checkpoint.objects.filter(
        thread_id=UUID(thread_id), namespace=indexed(namespace)
    )
    return [checkpoint_of(row) for row in query.order_by("-id")[:limit]]


def read_state(graph: Graph, thread_id: UUID, checkpoint_id: UUID) -> StateView | None:
    """The state of `thread_id` at a checkpoint, as `graph` understands it; None when there is no
    such checkpoint on that thread."""
    row = models.Checkpoint.objects.filter(thread_id=thread_id, id=checkpoint_id).first()
    if row is None:
        return None
    checkpoint = checkpoint_of(row)
    position = restore(graph, checkpoint, _chains(row, checkpoint.versions), shown=True)
    return StateView(checkpoint=checkpoint, values=position.values)


def checkpoint_of(row: models.Checkpoint) -> Checkpoint:
    """The checkpoint of a row."""
    return Checkpoint(
        checkpoint_id=str(row.id),
        thread_id=str(row.thread_id),
        run_id=str(row.run_id or ""),
        namespace=row.path,
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
    stored = models.State.objects.filter(thread_id=row.thread_id)
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
    chains = {channel: _chain(known, channel, version) for channel, version in versions.items()}
    payloads = _payloads([state for chain in chains.values() for state in chain if state.given])
    return {
        channel: [_change(state, payloads) for state in chain] for channel, chain in chains.items()
    }


def _chain(
    known: Mapping[tuple[str, str], models.State], channel: str, version: str
) -> list[models.State]:
    chain: list[models.State] = []
    at: UUID | None = UUID(version)
    while at is not None:
        state = known[channel, str(at)]
        chain.append(state)
        at = state.previous if state.is_delta else None
    return chain[::-1]


def _payloads(given: Sequence[models.State]) -> dict[UUID, Any]:
    """What the runs were given that wrote these values, by version."""
    if not given:
        return {}
    wrote = models.Checkpoint.objects.filter(id__in={state.version for state in given})
    found = wrote.values_list("id", "run__payload", "run__large__value")
    return {version: large if small is None else small for version, small, large in found}


def _change(state: models.State, payloads: Mapping[UUID, Any]) -> Change:
    value = state.value.encode()
    if state.given:
        value = serde.dumps(payloads[state.version][state.channel])
        value = b"[%b]" % value if state.is_delta else value
    return Change(
        channel=state.channel,
        version=str(state.version),
        base=str(state.base),
        previous=str(state.previous) if state.previous else None,
        value=value,
    )


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


def updates(run_id: str) -> dict[str, bytes]:
    """What the run's tasks have written, by task id."""
    told = models.Event.objects.filter(run_id=UUID(run_id), name=NODE_UPDATE, task_id__isnull=False)
    rows = told.order_by("seq").values_list("task_id", "data")
    return {str(task_id): data.encode() for task_id, data in rows}


def heard(run_id: str, at: models.Checkpoint | None) -> dict[str, list[tuple[str, bytes]]]:
    """What the run's tasks stated since the last kept checkpoint of their namespace, `at` being
    that of the graph itself, and the checkpoints that were announced since and not kept."""
    events = models.Event.objects.filter(run_id=UUID(run_id))
    since = 0
    if at is not None and at.run_id == UUID(run_id):
        own = events.filter(name=CHECKPOINT, namespace="", step=at.step).order_by("-seq")
        since = own.values_list("seq", flat=True).first() or 0
    told = list(
        events.filter(seq__gt=since)
        .order_by("seq")
        .values_list("task_id", "name", "namespace", "data", "node")
    )
    kept = _kept([data for _, name, _, data, _ in told if name == CHECKPOINT])
    heard: dict[str, dict[str, list[tuple[str, bytes]]]] = {}
    for task_id, name, namespace, data, node in told:
        if name == CHECKPOINT:
            announced = checkpoint_id_of(data)
            if announced is None or announced in kept:
                heard.pop(namespace, None)
            else:
                heard.setdefault(namespace, {})[announced] = [(name, data.encode())]
        elif task_id is not None:
            tasks = heard.setdefault(namespace, {})
            tasks.setdefault(str(task_id), []).append((name, data.encode()))
            if name == RETRY:
                forget_inside(heard, namespace, node, str(task_id))
    return {about: told for tasks in heard.values() for about, told in tasks.items()}


def _kept(announced: Sequence[str]) -> set[str]:
    """The ids of the checkpoints, of those that events announced, that there are."""
    ids = [UUID(found) for data in announced if (found := checkpoint_id_of(data))]
    if not ids:
        return set()
    kept = models.Checkpoint.objects.filter(id__in=ids).values_list("id", flat=True)
    return {str(checkpoint_id) for checkpoint_id in kept}


def _entered(row: models.Checkpoint) -> int:
    """The step at which the checkpoint's run began, or the call of its subgraph."""
    if row.run_id is None:
        return row.step
    own = models.Checkpoint.objects.filter(
        run_id=row.run_id, namespace=row.namespace, step__lte=row.step
    )
    begun = own.filter(source__in=("input", "fork")).aggregate(step=Max("step"))["step"]
    if begun is not None:
        return int(begun)
    return int(own.aggregate(step=Min("step"))["step"]) - 1
