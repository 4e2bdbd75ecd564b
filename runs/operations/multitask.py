"""What becomes of the unfinished runs of a thread when it is given another one.

The words are LangGraph Platform's: `enqueue` waits for them, `reject` refuses the new run,
`interrupt` cancels them and goes on from what they did, `rollback` cancels them and goes on from
before they began.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from django.utils import timezone

from runs.errors import Problem
from runs.lifecycle import cancellation
from runs.models import TERMINAL, Checkpoint, Run, Thread
from runs.validation import Fault

ENQUEUE, REJECT, INTERRUPT, ROLLBACK = "enqueue", "reject", "interrupt", "rollback"
STRATEGIES = (ENQUEUE, REJECT, INTERRUPT, ROLLBACK)


def faults(strategy: Any, *, threaded: bool = True) -> list[Fault]:
    """Why this is no strategy for a run on a thread that is given (`threaded`), or on one of its
    own; empty when it is one."""
    if not isinstance(strategy, str) or strategy not in STRATEGIES:
        detail = f"This must be one of {', '.join(STRATEGIES)}."
    elif not threaded and strategy != ENQUEUE:
        detail = "This says what becomes of other runs of a thread: give the `thread`, too, or"
        detail += " leave it out."
    else:
        return []
    return [{"at": "/multitask_strategy", "detail": detail}]


def lock_runs(strategies: Mapping[UUID, str]) -> None:
    """Lock the unfinished runs of threads (strategy by thread) that are to make way. To be called
    before the threads are locked: the journal locks runs first too, and neither must wait for the
    other."""
    threads = [thread for thread, strategy in strategies.items() if strategy != ENQUEUE]
    if threads:
        runs = Run.objects.select_for_update(no_key=True).filter(thread__in=threads)
        list(runs.exclude(status__in=TERMINAL).order_by("id").values_list("id"))


def make_way(thread: Thread, strategy: str, new: UUID) -> None:
    """Do what `strategy` says with the unfinished runs of `thread`, which the caller has locked, in
    the caller's transaction. Problem 409 when it is to be rejected. Who executes one of them is
    asked to stop; the run `new` is not claimed before it has."""
    if strategy == ENQUEUE:
        return
    runs = Run.objects.select_for_update(no_key=True).filter(thread=thread)
    unfinished = list(runs.exclude(status__in=TERMINAL).order_by("id"))
    if unfinished and strategy == REJECT:
        raise _rejected(thread, unfinished)
    if strategy == ROLLBACK:
        _take_back(thread, unfinished)
    for run in unfinished:
        if run.cancel_requested_at is None or run.rolled_back:
            by = run.cancel_by
            reason = run.cancel_reason or f"{strategy} by run {new}"
            cancellation.request(run, by, reason, run.cancel_requested_at or timezone.now())


def _take_back(thread: Thread, unfinished: Collection[Run]) -> None:
    """Put the thread back to where it was before these runs. What they kept stays on record as
    theirs. From now on nothing of them moves the thread: what is left of them is dropped."""
    if not unfinished:
        return
    thread.checkpoint_id = _before({run.pk for run in unfinished}, thread)
    thread.save(update_fields=["checkpoint_id"])
    for run in unfinished:
        run.rolled_back = True


def _before(taken: Collection[UUID], thread: Thread) -> UUID | None:
    """The newest checkpoint of the thread that is of none of the runs in `taken`."""
    own = Checkpoint.objects.filter(thread=thread, namespace="")
    head = thread.checkpoint_id
    while head is not None:
        owner = own.filter(pk=head).values_list("run_id", flat=True).first()
        if owner not in taken:
            break
        first = own.filter(run=owner).order_by("step", "id")
        head = first.values_list("parent_id", flat=True).first()
    return head


def _rejected(thread: Thread, unfinished: Collection[Run]) -> Problem:
    run = next(iter(unfinished))
    return Problem(
        409,
        "thread_busy",
        f"Run {run.pk} of thread {thread.pk} is {run.status}, and `multitask_strategy` is"
        " `reject`. Wait for its end or cancel it; or let the new run `enqueue`, `interrupt` it"
        " or `rollback` what it did.",
    )
