"""Group commit: one thread a process takes everything that is waiting, commits it in one
transaction, then wakes the coroutines that wait for it."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence

from django.db import InterfaceError, OperationalError, connection

from runs import batch
from runs.engine import faults
from runs.entries import Entry, settle

_log = logging.getLogger("fastgraph.journal")

#: How long after a transaction an entry that nobody waits for lies, for others to join the next
#: one. After a pause the first is written at once: who watches a quiet run waits for nothing.
PATIENCE = 0.005
#: Entries of one transaction: enough to share its cost, few enough to keep it short.
BATCH = 500
#: Between tries while the database cannot be written. Seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0


class Writer:
    """Writes entries in the order they were put. While the database cannot be written it keeps
    trying: a run's lease, not the writer, decides how long that is worth it."""

    def __init__(self, attach: batch.Attach, hint: Callable[[], object]) -> None:
        self._attach = attach
        self._hint = hint
        self._queue: deque[Entry] = deque()
        self._changed = threading.Condition()
        self._urgent = 0
        self._written_at = 0.0
        self._closed = False
        self._giving_up = False
        self._numbers: Counter[tuple[str, int]] = Counter()
        self._broken: dict[tuple[str, int], Exception] = {}
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    def put(self, entry: Entry) -> None:
        """Hand over an entry. Returns at once, from any thread."""
        with self._changed:
            if self._closed:
                raise RuntimeError("The journal is closed.")
            self._number(entry)
            self._queue.append(entry)
            self._urgent += entry.urgent
            if entry.urgent or len(self._queue) == 1:
                self._changed.notify()

    def close(self, *, seconds: float = 10.0) -> None:
        """Write what is queued and end the thread; what cannot be written within `seconds` is
        given up. Safe to call twice."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(seconds)
        self._giving_up = True
        self._thread.join(2 * LONGEST_PAUSE)

    def _number(self, entry: Entry) -> None:
        attempt = (entry.lease.run_id, entry.lease.attempt)
        self._numbers[attempt] += 1
        entry.number = self._numbers[attempt]
        if entry.ending is not None:
            del self._numbers[attempt]

    def _run(self) -> None:
        try:
            while entries := self._take():
                self._write(entries)
                self._written_at = time.monotonic()
        finally:
            connection.close()

    def _take(self) -> list[Entry]:
        """The next batch; empty when the writer was closed and all is written."""
        with self._changed:
            while not self._queue and not self._closed:
                self._changed.wait()
            if not self._urgent and not self._closed:
                self._changed.wait(max(0.0, self._written_at + PATIENCE - time.monotonic()))
            taken = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            self._urgent -= sum(entry.urgent for entry in taken)
            return taken

    def _write(self, entries: Sequence[Entry]) -> None:
        entries = [entry for entry in entries if not self._is_broken(entry)]
        fenced = self._try(entries) if entries else {}
        faults.point("after_hint")  # committed and announced; whoever waits does not know yet
        settle(
            [
                (entry.waiter, fenced.get(position))
                for position, entry in enumerate(entries)
                if entry.waiter is not None
            ]
        )

    def _try(self, entries: Sequence[Entry]) -> Mapping[int, Exception]:
        """Write, and again while the database cannot; what stood in the way, per position."""
        pause = FIRST_PAUSE
        while True:
            try:
                fenced = batch.write(entries, self._attach)
                self._hint()
                faults.point("after_hint")
                return fenced
            except (OperationalError, InterfaceError) as error:
                if _is_about_the_data(error):
                    return self._try_apart(entries, error)
                if self._giving_up:
                    return dict.fromkeys(range(len(entries)), error)
                _log.warning("The journal cannot be written, trying again: %s", error)
                connection.close()
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            except Exception as error:  # something in the batch cannot be stored
                return self._try_apart(entries, error)

    def _try_apart(self, entries: Sequence[Entry], error: Exception) -> Mapping[int, Exception]:
        """Write run by run, so that one run's bad value does not fail its neighbours."""
        runs: dict[tuple[str, int], list[int]] = {}
        for position, entry in enumerate(entries):
            runs.setdefault((entry.lease.run_id, entry.lease.attempt), []).append(position)
        if len(runs) > 1:
            failed: dict[int, Exception] = {}
            for positions in runs.values():
                found = self._try([entries[position] for position in positions])
                failed.update((positions[at], reason) for at, reason in found.items())
            return failed
        (run,) = runs
        _log.error("Run %s cannot be written: %s: %s", run[0], type(error).__name__, error)
        if not any(entry.waiter for entry in entries):
            self._broken[run] = error
        return dict.fromkeys(range(len(entries)), error)

    def _is_broken(self, entry: Entry) -> bool:
        """Whether something of the entry's attempt was lost that nobody waited for. The first who
        waits is told, and nothing is written in between: a log with a hole in it is no log."""
        run = (entry.lease.run_id, entry.lease.attempt)
        error = self._broken.get(run)
        if error is None:
            return False
        if entry.waiter is not None:
            del self._broken[run]
            settle([(entry.waiter, error)])
        return True


def _is_about_the_data(error: Exception) -> bool:
    """Whether trying again gives the same: Postgres says "operational" of a value that is over one
    of its limits (class 54), too."""
    state = getattr(error.__cause__, "sqlstate", None) or ""
    return str(state).startswith("54")
