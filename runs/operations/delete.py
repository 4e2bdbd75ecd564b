"""Deleting what was recorded, so that nothing else breaks.

The state of a thread is shared: a later run of it stands on the checkpoints of the earlier ones. So
a run goes alone only together with its thread, when it is the only one there.
"""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from runs.errors import Problem
from runs.models import TERMINAL, Run, Thread


def delete_run(run_id: UUID) -> None:
    """Delete a finished run with its thread and all that hangs on them; one transaction. Problem
    404 for an unknown run, 409 while it is unfinished or other runs stand on its thread. Runs that
    were replayed from it on other threads stay, and forget where they came from."""
    with transaction.atomic():
        run = Run.objects.only("thread_id").filter(pk=run_id).first()
        if run is None:
            raise Problem(404, "unknown_run", f"There is no run {run_id}.")
        # Locked before looking: the creation of a run locks its thread, too.
        thread = _lock(run.thread_id)
        if why := why_run_stays(Run.objects.only("status", "thread_id").get(pk=run_id)):
            raise Problem(409, "run_in_use", why)
        thread.delete()


def delete_thread(thread_id: UUID) -> None:
    """Delete a thread and all of its runs; one transaction. Problem 404 for an unknown thread, 409
    while one of its runs is unfinished."""
    with transaction.atomic():
        thread = _lock(thread_id)
        if why := why_thread_stays(thread):
            raise Problem(409, "thread_in_use", why)
        thread.delete()


def why_run_stays(run: Run) -> str:
    """Why `delete_run` would refuse; empty when it would not."""
    if not run.finished:
        return f"Run {run.pk} is {run.status}. Only a finished run can be deleted."
    others = Run.objects.filter(thread=run.thread_id).exclude(pk=run.pk).count()
    if others:
        return (
            f"Run {run.pk} shares its thread with {others} more, which may stand on its "
            "checkpoints. Delete the thread with all of its runs instead."
        )
    return ""


def why_thread_stays(thread: Thread) -> str:
    """Why `delete_thread` would refuse; empty when it would not."""
    busy = Run.objects.filter(thread=thread).exclude(status__in=TERMINAL).first()
    return f"Run {busy.pk} of this thread is {busy.status}." if busy else ""


def _lock(thread_id: UUID) -> Thread:
    thread = Thread.objects.select_for_update().filter(pk=thread_id).first()
    if thread is None:
        raise Problem(404, "unknown_thread", f"There is no thread {thread_id}.")
    return thread
