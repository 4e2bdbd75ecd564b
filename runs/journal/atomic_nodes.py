"""Transactions of nodes: what a node does to the database and the record of its result, together
or not at all."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, close_old_connections, connection, transaction

from runs.db import connections, idle_timeout
from runs.db.errors import TRANSIENT, is_transient
from runs.db.retry import close, while_away
from runs.engine import faults
from runs.engine.checkpoint import Checkpoint, Note
from runs.engine.errors import Fenced
from runs.engine.journal.ports import Lease, Record, Transacted
from runs.journal import commit
from runs.journal.batch_rows import Attach, collected
from runs.lifecycle import cancellation, notification
from runs.models import PendingWrite
from runs.notify.changes import CommitHint

_log = logging.getLogger("fastgraph.journal")

#: How long to wait for a database that is away. Seconds.
AWAY_SECONDS = 30.0


def transact(
    lease: Lease,
    checkpoint: Checkpoint,
    task_id: str,
    work: Callable[[], Transacted],
    attach: Attach,
    hint: CommitHint,
) -> Note:
    """What `Journal.transact` promises, on the default database and this thread's connection to
    it. An error at or after the commit, whose answer may have been lost, is looked into: what is
    on record is done. When the database cut us off after the work, nothing of it is left: Fenced,
    and the run goes back to the queue."""
    close_old_connections()
    borrowed = connection.connection is not None
    try:
        note = _commit_once(_Attempt(lease, checkpoint, task_id, work, attach))
        faults.point("after_transaction", lease.run_id, checkpoint.step)
        hint(False)
        return note
    finally:
        if not borrowed:
            connection.close()


@dataclass
class _Attempt:
    """One task's transaction: whether its work was called, and had ended, and whether the commit
    was next."""

    lease: Lease
    checkpoint: Checkpoint
    task_id: str
    work: Callable[[], Transacted]
    attach: Attach
    called: bool = False
    worked: bool = False
    kept: bool = False


def _commit_once(attempt: _Attempt) -> Note:
    """Try to begin while the database is away, as the writer does; but call the work once."""
    try:
        return while_away(
            partial(_transact, attempt),
            who="an atomic node",
            give_up_at=time.monotonic() + AWAY_SECONDS,
            stopping=lambda: attempt.called,
        )
    except BaseException as error:
        if attempt.kept and (note := _find_after_error(attempt)) is not None:
            _log.warning("Task %s is committed, in spite of %r", attempt.task_id, error)
            return note
        if attempt.worked and is_transient(error):
            raise Fenced(f"The transaction of task {attempt.task_id} was cut off.") from error
        raise


def _transact(attempt: _Attempt) -> Note:
    with transaction.atomic(durable=True):
        if (found := _find(attempt)) is not None:
            return found
        attempt.called = True
        done = attempt.work()
        if connection.needs_rollback:
            raise transaction.TransactionManagementError(
                "The node went on after an error of the database that undoes its transaction. Put "
                "what may fail into a `with transaction.atomic():` of its own."
            )
        if left := connections.leftovers_in_transaction(DEFAULT_DB_ALIAS):
            raise transaction.TransactionManagementError(
                f"The node left {left}, so its own transaction is undone. Begin and end a "
                "transaction in one call: `with transaction.atomic():`."
            )
        attempt.worked = True
        _keep(attempt.lease, attempt.checkpoint, done, attempt.attach)
        attempt.kept = True
        faults.point("before_transaction", attempt.lease.run_id, attempt.checkpoint.step)
    return done.note


def _keep(lease: Lease, checkpoint: Checkpoint, done: Transacted, attach: Attach) -> None:
    # Guarded at the end: the row of the run is locked for as short as can be, for the writer's
    # batches, which carry other runs too, wait for it. A process that is frozen here loses it.
    idle_timeout.enable_for_transaction(connection)
    live = commit.guard(connection, [lease])
    run = live.get((lease.run_id, lease.attempt))
    if run is None:
        raise Fenced(f"Attempt {lease.attempt} of run {lease.run_id} is over.")
    if run.wanted and cancellation.requested(UUID(lease.run_id)):
        raise Fenced(f"Run {lease.run_id} is to be cancelled.")
    record = Record(
        namespace=checkpoint.namespace, checkpoint_id=checkpoint.checkpoint_id, notes=[done.note]
    )
    found = collected(connection)
    found.noted(run, record)
    found.add_events(run, done.events)
    found.artifacts.extend(done.artifacts)
    run.changed = True
    found.send(connection, [run], attach)
    notification.notify_watchers(ended=False)


def _find(attempt: _Attempt) -> Note | None:
    at, task_id = UUID(attempt.checkpoint.checkpoint_id), UUID(attempt.task_id)
    own = PendingWrite.objects.filter(checkpoint_id=at, task_id=task_id, kind="writes", idx=0)
    row = own.first()
    if row is None:
        return None
    return Note(task_id=attempt.task_id, node=row.node, kind="writes", body=row.value.encode())


def _find_after_error(attempt: _Attempt) -> Note | None:
    """What is on record of the task; None also when the database does not say."""
    close()
    try:
        return while_away(
            partial(_find, attempt),
            who=f"task {attempt.task_id}, which may be committed,",
            give_up_at=time.monotonic() + AWAY_SECONDS,
        )
    except TRANSIENT:
        return None
