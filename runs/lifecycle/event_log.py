"""The numbers of a run's events: `seq` is gap-free per run, from 1.

`Run.seq` is the number of the run's newest event. Only the holder of the run's row lock may append:
the event rows and the new `seq` are written in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from uuid import UUID

from django.db.models import F, QuerySet

from runs import models
from runs.db.columns import Row
from runs.db.dialect import Dialect
from runs.engine.events import Event
from runs.fields import stored_name
from runs.models import Run

#: The columns of `rows`.
EVENT_COLUMNS = ("run_id", "seq", "name", "ts", "node", "step", "namespace", "task_id", "data")


def seq_after(seq: int, events: Sequence[Event]) -> int:
    """The number of the last of `events`, when the run's newest event before them is `seq`."""
    return seq + len(events)


def rows(form: Dialect, run_id: str, seq: int, events: Sequence[Event]) -> list[Row]:
    """The rows of a run's next events, in the form of the driver. `seq`: the run's newest event."""
    as_id, as_time = form.id, form.time
    run_id = as_id(run_id)
    return [
        (
            run_id,
            number,
            event.name,
            as_time(event.ts),
            stored_name(event.node),
            event.step,
            stored_name(event.namespace),
            as_id(event.task_id) if event.task_id else None,
            event.data.decode(),
        )
        for number, event in enumerate(events, start=seq + 1)
    ]


def first(run: Run, event: Event) -> models.Event:
    """The row of event 1 of a new run. The caller stores the run and the row."""
    run.seq = 0
    return _objects(run, [event])[0]


def append(run: Run, events: Sequence[Event]) -> None:
    """Insert the next events of `run` and set `run.seq`. The caller holds the row lock and saves
    `seq` in the same transaction."""
    models.Event.objects.bulk_create(_objects(run, events))


def append_to_each(runs: QuerySet[Run], event: Callable[[Run], Event]) -> None:
    """Append one event to each of `runs`, which the caller has locked."""
    found = list(runs)
    if found:
        models.Event.objects.bulk_create(
            row for run in found for row in _objects(run, [event(run)])
        )
        Run.objects.filter(pk__in=[run.pk for run in found]).update(seq=F("seq") + 1)


def _objects(run: Run, events: Collection[Event]) -> list[models.Event]:
    """The rows of the run's next events, as the ORM has them. `run.seq` is counted up."""
    found = []
    for event in events:
        run.seq += 1
        found.append(
            models.Event(
                run=run,
                seq=run.seq,
                name=event.name,
                ts=event.ts,
                node=event.node,
                step=event.step,
                namespace=event.namespace,
                task_id=UUID(event.task_id) if event.task_id else None,
                data=event.data.decode(),
            )
        )
    return found
