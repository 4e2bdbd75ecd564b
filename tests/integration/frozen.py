"""A process that stops in the middle of a transaction of its journal: it says `locked`, and waits
for a line. Then it goes on, and says what its journal answered."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

import django

django.setup()

from django.db import Error, connections, transaction  # noqa: E402

from runs.db import idle_timeout  # noqa: E402
from runs.db.errors import is_transient  # noqa: E402
from runs.engine import faults  # noqa: E402
from runs.engine.checkpoint import Checkpoint, Frontier, Note  # noqa: E402
from runs.engine.errors import Fenced  # noqa: E402
from runs.engine.events import Event  # noqa: E402
from runs.engine.ids import uuid7  # noqa: E402
from runs.engine.journal.ports import Lease, Transacted  # noqa: E402
from runs.journal.journal import DurableJournal  # noqa: E402
from runs.models import Run  # noqa: E402

LATE = Event(name="late", ts=datetime.now(UTC))


def wait() -> None:
    """Called inside the transaction, when the run's row is locked."""
    print("locked", flush=True)
    sys.stdin.readline()


async def hold(lease: Lease, journal: DurableJournal) -> None:
    """A transaction of one of our own threads, which is told what became of it."""

    def held() -> None:
        idle_timeout.enable_for_thread()
        try:
            with transaction.atomic():
                run = Run.objects.select_for_update().get(pk=lease.run_id)
                wait()
                run.save(update_fields=["name"])
        except Error as error:
            raise Fenced from (None if is_transient(error) else error)
        finally:
            connections.close_all()

    await asyncio.to_thread(held)


async def transact(lease: Lease, journal: DurableJournal) -> None:
    checkpoint = Checkpoint(
        checkpoint_id=str(uuid7()),
        thread_id=lease.thread_id,
        run_id=lease.run_id,
        namespace="",
        parent_id=None,
        step=1,
        source="loop",
        versions={},
        frontier=Frontier(),
        created_at=datetime.now(UTC),
    )
    task_id = str(uuid7())
    note = Note(task_id=task_id, node="n", kind="writes", body=b"{}")
    done = Transacted(note=note, events=[LATE])
    await asyncio.to_thread(journal.transact, lease, checkpoint, task_id, lambda: done)


async def main(how: str, run_id: str, thread_id: str) -> str:
    lease = Lease(run_id=run_id, thread_id=thread_id)
    journal = DurableJournal(lambda ref: None)
    faults.arm("before_transaction", wait)
    try:
        await (hold if how == "hold" else transact)(lease, journal)
    except Fenced as error:
        return "fenced" if how != "hold" or error.__cause__ is None else repr(error.__cause__)
    except Exception as error:
        return repr(error)
    finally:
        await asyncio.to_thread(journal.close)
    return "written"


if __name__ == "__main__":
    print(asyncio.run(main(*sys.argv[1:])), flush=True)
