"""Transactions of nodes: what a node does to the database and the record of its result, together
or not at all."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, Error, close_old_connections, connection, transaction

from runs import batch, cancellation, connections, doorbell, idle, rows
from runs.collected import Attach, collected
from runs.doorbell import Hint
from runs.engine import faults
from runs.engine.checkpoint import Checkpoint, Note
from runs.engine.errors import Fenced
from runs.engine.ports import Lease, Record, Transacted
from runs.models import PendingWrite
from runs.outages import is_outage

_log = logging.getLogger("fastgraph.journal")

#: While the database is not there: how long to try, and between two tries. Seconds.
PATIENCE, PAUSE = 30.0, 0.2


def transact(
    lease: Lease,
    checkpoint: Checkpoint,
    task_id: str,
    work: Callable[[], Transacted],
    attach: Attach,
    hint: Hint,
) -> Note:
    """What `Journal.transact` promises, on the default database and this thread's connection to
    it. An error at or after the commit, whose answer may have been lost, is looked into: what is
    on record is done. When the database cut us off after the work, nothing of it is left: Fenced,
    and the run goes back to the queue."""
    close_old_connections()
    borrowed = connection.connection is not None
    try:
        note = _until_known(_Attempt(lease, checkpoint, task_id, work, attach))
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


def _until_known(attempt: _Attempt) -> Note:
    """Try to begin while the database is not there, as the writer does; but call the work once."""
    give_up_at = time.monotonic() + PATIENCE
    while True:
        try:
            return _transact(attempt)
        except BaseException as error:
            if attempt.kept and (found := _on_record(attempt)) is not None:
                _log.warning("Task %s is committed, in spite of %r", attempt.task_id, error)
                return found
            if attempt.worked and is_outage(error):
                raise Fenced(f"The transaction of task {attempt.task_id} was cut off.") from error
            if attempt.called or not is_outage(error) or time.monotonic() > give_up_at:
                raise
            _log.warning("A transaction cannot begin, trying again: %s", error)
            connection.close()
            time.sleep(PAUSE)


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
    idle.end_this(connection)
    live = batch.guard(connection.vendor, partial(rows.ask, connection), [lease])
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
    found.told(run, done.events)
    found.artifacts.extend(done.artifacts)
    run.changed = True
    found.send(connection, [run], attach)
    doorbell.announce(ended=False)


def _find(attempt: _Attempt) -> Note | None:
    at, task_id = UUID(attempt.checkpoint.checkpoint_id), UUID(attempt.task_id)
    own = PendingWrite.objects.filter(checkpoint_id=at, task_id=task_id, kind="writes", idx=0)
    row = own.first()
    if row is None:
        return None
    return Note(task_id=attempt.task_id, node=row.node, kind="writes", body=row.value.encode())


def _on_record(attempt: _Attempt) -> Note | None:
    give_up_at = time.monotonic() + PATIENCE
    while time.monotonic() < give_up_at:
        connection.close()
        try:
            return _find(attempt)
        except Error as error:
            _log.warning("Whether task %s is committed is not known: %s", attempt.task_id, error)
            time.sleep(PAUSE)
    return None
