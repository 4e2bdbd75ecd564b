"""Every legal change of a run's status, and the only code that writes one.

`TABLE` lists the changes. `columns` has the new values of the row: the journal's batch and the
claim write them past the ORM, `apply` and `apply_to_all` through it. A new run is `created`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from runs import models
from runs.engine import events
from runs.engine.events import Event
from runs.lifecycle import event_log, notification, pauses
from runs.models import TERMINAL, PendingReason, Run, RunStatus

PENDING, RUNNING = RunStatus.PENDING, RunStatus.RUNNING
SLEEPING, INTERRUPTED = RunStatus.SLEEPING, RunStatus.INTERRUPTED


@dataclass(frozen=True, kw_only=True)
class Transition:
    """One legal change of a run's status. Everything that changes a status names one of these."""

    name: str
    #: The statuses that it starts from.
    sources: frozenset[RunStatus]
    #: The status that it leads to.
    target: RunStatus
    #: The name of the event that it appends; None: it appends none, the next claim's event tells.
    event: str | None = None
    #: Why the run is pending afterwards; None if it is not.
    reason: PendingReason | None = None
    #: Whether the worker that held the run holds it no longer.
    releases_lease: bool = True
    #: Whether workers are notified, as the run may be claimed at once.
    makes_work: bool = False

    @property
    def is_terminal(self) -> bool:
        """Whether the run has ended afterwards."""
        return self.target in TERMINAL


def _of(*statuses: RunStatus) -> frozenset[RunStatus]:
    return frozenset(statuses)


def _claim(name: str, event: str) -> Transition:
    return Transition(
        name=name, sources=_of(PENDING), target=RUNNING, event=event, releases_lease=False
    )


def _put_back(name: str, reason: PendingReason, **more: Any) -> Transition:
    return Transition(name=name, sources=_of(RUNNING), target=PENDING, reason=reason, **more)


#: A worker claims the run for the first time.
START = _claim("start", events.STARTED)
#: A worker claims a run that waited or gave way, and goes on with it.
CONTINUE = _claim("continue", events.RESUMED)
#: A worker claims a run that another worker lost or put back.
RECOVER = _claim("recover", events.RECOVERED)
#: The graph has come to its end.
COMPLETE = Transition(name="complete", sources=_of(RUNNING), target=RunStatus.COMPLETED,
                      event=events.COMPLETED)  # fmt: skip
#: An error ends the run, or its workers crashed too often.
FAIL = Transition(name="fail", sources=_of(RUNNING), target=RunStatus.FAILED,
                  event=events.FAILED)  # fmt: skip
#: A request to cancel is carried out, also one of a multitask strategy (`rollback`, `interrupt`).
CANCEL = Transition(name="cancel", sources=_of(PENDING, RUNNING, SLEEPING, INTERRUPTED),
                    target=RunStatus.CANCELLED, event=events.CANCELLED)  # fmt: skip
#: The run asks, and waits for answers.
INTERRUPT = Transition(name="interrupt", sources=_of(RUNNING), target=INTERRUPTED,
                       event=events.INTERRUPTED)  # fmt: skip
#: The run waits until a time.
SLEEP = Transition(name="sleep", sources=_of(RUNNING), target=SLEEPING, event=events.SLEEPING)
#: Somebody answers.
RESUME = Transition(name="resume", sources=_of(INTERRUPTED), target=PENDING,
                    reason=PendingReason.ANSWERED, makes_work=True)  # fmt: skip
#: The time of a run that waits has come. The sweep looks for work right afterwards.
WAKE = Transition(name="wake", sources=_of(SLEEPING, INTERRUPTED), target=PENDING,
                  reason=PendingReason.WOKEN)  # fmt: skip
#: A run that is paused, or whose workflow is, stops at the end of its superstep.
PAUSE = _put_back("pause", PendingReason.PAUSED, event=events.PAUSED)
#: A suspect that was executed in a process of its own has made progress.
END_ISOLATION = _put_back("end isolation", PendingReason.PROVEN, makes_work=True)
#: Its worker stops, or cannot go on with it.
STOP = _put_back("stop", PendingReason.STOPPED, makes_work=True)
#: Its worker is gone, or was silent for a lease. The sweep looks for work right afterwards.
LOSE = _put_back("lose", PendingReason.LOST)

TABLE = (
    START, CONTINUE, RECOVER, COMPLETE, FAIL, CANCEL, INTERRUPT, SLEEP, RESUME, WAKE, PAUSE,
    END_ISOLATION, STOP, LOSE,
)  # fmt: skip

_CLAIMS: Mapping[str, Transition] = {
    PendingReason.CREATED: START,
    PendingReason.ANSWERED: CONTINUE,
    PendingReason.WOKEN: CONTINUE,
    PendingReason.PAUSED: CONTINUE,
    PendingReason.PROVEN: CONTINUE,
    PendingReason.STOPPED: RECOVER,
    PendingReason.LOST: RECOVER,
}


def claim_of(reason: str, attempt: int) -> Transition:
    """The claim of a run that is pending for this reason; `attempt` counts its claims so far. A
    row without a known reason, as another version may leave one, must not stop all claims."""
    return _CLAIMS.get(reason) or (RECOVER if attempt else START)


def columns(
    transition: Transition, *, now: datetime, wake_at: datetime | None = None, **more: Any
) -> dict[str, Any]:
    """The new values of the run's row, by column, with `more` of them. The columns depend on the
    transition and the names in `more` alone. `wake_at`: when the sweep wakes the run."""
    values = {
        "status": transition.target.value,
        "pending_reason": transition.reason.value if transition.reason else "",
        "wake_at": wake_at,
        "updated_at": now,
        **more,
    }
    if transition.releases_lease:
        values["lease_owner"] = values["lease_expires_at"] = None
    if transition.is_terminal:
        values["finished_at"] = now
    return values


def created(run: Run, event: Event) -> models.Event:
    """The row of the first event of a new `run`, which is pending. The caller stores both."""
    run.status, run.pending_reason = PENDING, PendingReason.CREATED
    run.updated_at = run.created_at
    return event_log.first(run, event)


def apply(
    run: Run,
    transition: Transition,
    *,
    now: datetime,
    event: Event | None = None,
    guard: Q | None = None,
    **more: Any,
) -> bool:
    """Change `run`, append the transition's `event` and notify, in one transaction. `more`: other
    columns. False, and nothing is written, if the row is not as it was read (status, attempt, seq)
    or does not fit `guard`: somebody else was first. True: `run` has the new values.

    Raises ValueError if `event` is not the one that the transition appends.
    """
    if (event.name if event else None) != transition.event:
        raise ValueError(f"Transition {transition.name!r} appends {transition.event!r}.")
    appended = [event] if event else []
    values = columns(transition, now=now, **more)
    with transaction.atomic():
        row = Run.objects.filter(guard or Q(), pk=run.pk, attempt=run.attempt, seq=run.seq)
        as_read = row.filter(status=run.status, status__in=transition.sources)
        if not as_read.update(**values, seq=event_log.seq_after(run.seq, appended)):
            return False
        for name, value in values.items():
            setattr(run, name, value)
        event_log.append(run, appended)
        notification.notify_watchers()
        if transition.makes_work:
            notification.wake_worker()
    return True


def apply_to_all(
    run_ids: Collection[UUID], transition: Transition, *, now: datetime, **more: Any
) -> int:
    """Change each of these runs, which the caller has locked, and notify; the number of those that
    changed. A paused run that its worker gives up gets its `paused` event here.

    Raises ValueError for a transition with an event of its own.
    """
    if transition.event is not None:
        raise ValueError(f"Transition {transition.name!r} appends an event for each run.")
    found = Run.objects.filter(pk__in=run_ids, status__in=transition.sources)
    if RUNNING in transition.sources:
        event_log.append_to_each(found.filter(paused_at__isnull=False), pauses.paused_event_of)
    count = found.update(**columns(transition, now=now, **more))
    if count:
        notification.notify_watchers(ended=transition.is_terminal)
        if transition.makes_work:
            notification.wake_worker()
    return count


def record(
    run: Run, *names: str, now: datetime, appended: Sequence[Event] = (), makes_work: bool = False
) -> None:
    """Save the columns `names` of `run`, which the caller has locked, with the next events, and
    notify: a request or a fact that leaves the status as it is.

    Raises ValueError for a column that only a transition may change.
    """
    if kept := {"status", "pending_reason", "seq", "lease_owner", "lease_expires_at"} & {*names}:
        raise ValueError(f"Only a transition changes {', '.join(sorted(kept))}.")
    run.updated_at = now
    event_log.append(run, appended)
    run.save(update_fields=[*names, "seq", "updated_at"])
    notification.notify_watchers()
    if makes_work:
        notification.wake_worker()
