"""Which workflows wait to be executed, and who can execute them.

Processes may have different workflows (FASTGRAPH_APPS). Each claims only what it has; a run whose
workflow it lacks waits for another process, or for a start that has it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Set
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple

from django.db import connection
from django.db.models import OuterRef, Q, QuerySet
from django.utils import timezone

from runs import workflows
from runs.conf import conf
from runs.db.columns import column, table
from runs.db.guard import open_transactions
from runs.models import Run, RunStatus, Worker

_log = logging.getLogger("fastgraph.worker")


class Only(NamedTuple):
    """The pending runs of one workflow, in a process that has those that are `known`."""

    workflow: str
    known: frozenset[str]


class _Memory:
    """What this process found at its last look. It decides how runs are looked for, never which of
    them are claimed: a wrong value costs time alone."""

    #: Runs of workflows that this process lacks are pending.
    others_wait = False
    #: The missing workflows that the log names already.
    reported: frozenset[str] = frozenset()


def others_wait() -> bool:
    """Whether runs of workflows that this process lacks were pending at the last look."""
    return _Memory.others_wait


def met_another() -> None:
    """A pending run was read whose workflow this process lacks."""
    _Memory.others_wait = True


@cache
def _pending_names() -> str:
    """SQL for the distinct workflows of the pending runs. It jumps from one name to the next in the
    index: the cost grows with the names, never with the runs."""
    name, pending = column(Run, "workflow"), f"{column(Run, 'status')} = '{RunStatus.PENDING}'"
    lowest = f"SELECT MIN({name}) FROM {table(Run)} WHERE {pending}"  # noqa: S608
    return (
        "SELECT name FROM ("  # noqa: S608
        f"WITH RECURSIVE present(name) AS ({lowest} UNION ALL"
        f" SELECT ({lowest} AND {name} > present.name) FROM present WHERE present.name IS NOT NULL)"
        " SELECT name FROM present WHERE name IS NOT NULL) AS found"
    )


def pending_workflows() -> list[str]:
    """The workflows of which runs are pending, sorted as the database sorts text."""
    with connection.cursor() as cursor:
        cursor.execute(_pending_names())
        return [name for (name,) in cursor.fetchall()]


def claimable_workflows(known: Set[str]) -> list[str]:
    """The workflows of which runs are pending and that are `known`, which are those of this
    process."""
    pending = pending_workflows()
    mine = [name for name in pending if name in known]
    _Memory.others_wait = len(mine) < len(pending)
    return mine


def unknown_before(only: Only) -> QuerySet[Run]:
    """The runs of workflows that are not known, before an outer run on its thread, that have not
    begun: they hold it up."""
    # No `status` here: SQLite would take an index of pending runs, and read them all. A run that
    # has neither begun nor ended is pending.
    unbegun = Run.objects.filter(started_at=None, finished_at=None, paused_at=None)
    before = Q(priority__gt=OuterRef("priority")) | Q(
        priority=OuterRef("priority"), created_at__lt=OuterRef("created_at")
    )
    return unbegun.filter(before, thread=OuterRef("thread")).exclude(workflow__in=only.known)


def alive(now: datetime | None = None) -> list[Worker]:
    """The workers that were heard of within a lease."""
    since = oldest_live_heartbeat(now or timezone.now())
    return list(Worker.objects.filter(heartbeat_at__gte=since))


def oldest_live_heartbeat(now: datetime) -> datetime:
    """The time of the oldest heartbeat of a live worker: one with an older heartbeat has lost its
    leases. The time for which the database has been locked does not count, as no heartbeat could
    be written."""
    return now - timedelta(seconds=conf().lease_seconds + open_transactions.locked_seconds())


def having(workers: Iterable[Worker], workflow: str) -> list[Worker]:
    """Those of `workers` that have the workflow, or may have it: one of an earlier version does not
    say what it has."""
    return [one for one in workers if one.workflows is None or workflow in one.workflows]


def known_anywhere(workflow: str) -> bool:
    """Whether this process or a live worker has the workflow, or an unfinished run is one of it."""
    if workflows.find(workflow) is not None:
        return True
    if any(workflow in (worker.workflows or ()) for worker in alive()):
        return True
    return Run.objects.filter(workflow=workflow, finished_at=None).exists()


def report_missing(known: Set[str]) -> None:
    """Log the workflows of which runs wait though no live worker has them: each name once."""
    others = [name for name in pending_workflows() if name not in known]
    _Memory.others_wait = bool(others)
    workers = alive() if others else []
    missing = {name for name in others if not having(workers, name)}
    for name in sorted(missing - _Memory.reported):
        _log.warning(
            "Runs of workflow %r wait: this server does not have it, nor does any live worker."
            " Name the app that registers it in FASTGRAPH_APPS and start the server again, or"
            " cancel the runs.",
            name,
        )
    _Memory.reported = frozenset(missing)


def missing_detail(workflow: str) -> str:
    """A sentence for people: nobody has the workflow of a run, and what to do."""
    return (
        f"No live worker has its workflow {workflow!r}. Name the app that registers it in"
        " FASTGRAPH_APPS and start a worker: the run goes on by itself then. Or cancel it."
    )
