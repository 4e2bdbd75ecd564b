"""Group commit: one thread a process takes everything that is waiting, commits it in one
transaction, then wakes the coroutines that wait for it."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence

from django.db import connection

from runs.db import idle_timeout
from runs.db.errors import is_transient
from runs.db.retry import LONGEST_PAUSE_SECONDS, while_away
from runs.engine import faults
from runs.engine.errors import Fenced
from runs.journal import commit
from runs.journal.batch_rows import Attach
from runs.journal.entry import Entry, Waiter, settle
from runs.notify.changes import CommitHint
from runs.process import stop_request

_log = logging.getLogger("fastgraph.journal")

#: How long after a transaction an entry that nobody waits for lies, for others to join the next
#: one. After a pause the first is written at once: who watches a quiet run waits for nothing. Only
#: the end of a superstep that is not waited for lies so long in any case: most often the next one
#: follows at once, and is the one that is waited for.
PATIENCE = 0.005
#: Entries of one transaction: enough to share its cost, few enough to keep it short.
BATCH = 500
#: Bytes of entries that may wait before those who write are asked to wait …
QUEUE_BYTES = 8 * 2**20
#: … and so many times that, those who do not wait by themselves are held up, with their event loop.
HELD_UP = 4
#: Between two looks, while held up, whether the process is to stop. Seconds.
HOLD_LOOK = 0.1


class Writer:
    """Writes entries in the order they were put. While the database cannot be written it keeps
    trying: a run's lease, not the writer, decides how long that is worth it."""

    def __init__(
        self,
        attach: Attach,
        hint: CommitHint,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        self._attach = attach
        self._hint = hint
        self._queue: deque[Entry] = deque()
        self._queue_bytes = queue_bytes
        self._bytes = 0  # of what waits and of what is being written
        lock = threading.Lock()
        self._changed = threading.Condition(lock)
        self._lighter = threading.Condition(lock)
        self._waiters: list[Waiter] = []
        self._urgent = 0
        self._written_at = 0.0
        self._closed = False
        self._giving_up = False
        self._numbers: Counter[tuple[str, int]] = Counter()
        self._broken: dict[tuple[str, int], Exception] = {}
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    @property
    def behind(self) -> bool:
        """Whether so much waits to be written that those who write more should wait."""
        return self._bytes > self._queue_bytes and not self._closed

    def when_lighter(self, waiter: Waiter) -> None:
        """Wake `waiter` as soon as the writer is not behind."""
        with self._changed:
            if self.behind:
                self._waiters.append(waiter)
                return
        settle([(waiter, None)])

    def put(self, entry: Entry) -> None:
        """Hand over an entry, from any thread. Returns at once, unless those who write do not wait
        when the writer is behind: memory ends somewhere."""
        with self._changed:
            if not entry.urgent:
                self._hold_up()
            if self._closed:
                raise RuntimeError("The journal is closed.")
            self._number(entry)
            self._queue.append(entry)
            self._bytes += entry.size
            self._urgent += entry.urgent
            if entry.urgent or len(self._queue) == 1:
                self._changed.notify()

    def close(self, *, seconds: float = 10.0) -> None:
        """Write what is queued and end the thread; what cannot be written within `seconds` is
        given up. Safe to call twice."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            self._lighter.notify_all()
        self._thread.join(seconds)
        self._giving_up = True
        self._thread.join(2 * LONGEST_PAUSE_SECONDS)

    def _hold_up(self) -> None:
        # Nothing that the writer does needs the thread that is held up here.
        while self._bytes > HELD_UP * self._queue_bytes and not self._closed:
            if stop_request.stopping():
                return
            self._lighter.wait(HOLD_LOOK)

    def _number(self, entry: Entry) -> None:
        attempt = (entry.lease.run_id, entry.lease.attempt)
        self._numbers[attempt] += 1
        entry.number = self._numbers[attempt]

    def _run(self) -> None:
        idle_timeout.enable_for_thread()
        try:
            while entries := self._take():
                self._write(entries)
                self._written_at = time.monotonic()
                self._lighten(sum(entry.size for entry in entries))
        finally:
            self._lighten(self._bytes)
            connection.close()

    def _lighten(self, size: int) -> None:
        """So much is written, or given up."""
        waiters: list[Waiter] = []
        with self._changed:
            self._bytes -= size
            if not self.behind:
                waiters, self._waiters = self._waiters, waiters
            self._lighter.notify_all()
        settle([(waiter, None) for waiter in waiters])

    def _take(self) -> list[Entry]:
        """The next batch; empty when the writer was closed and all is written."""
        with self._changed:
            while not self._queue and not self._closed:
                self._changed.wait()
            if not self._urgent and not self._closed:
                now = time.monotonic()
                since = now if any(entry.ahead for entry in self._queue) else self._written_at
                self._changed.wait(max(0.0, since + PATIENCE - now))
            taken = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            self._urgent -= sum(entry.urgent for entry in taken)
            return taken

    def _write(self, entries: Sequence[Entry]) -> None:
        entries = [entry for entry in entries if not self._is_broken(entry)]
        fenced = self._try(entries) if entries else {}
        self._forget(entries, fenced)
        # Committed and announced; whoever waits does not know yet.
        faults.points("after_hint", _places(entries))
        settle(
            [
                (entry.waiter, fenced.get(position))
                for position, entry in enumerate(entries)
                if entry.waiter is not None
            ]
        )

    def _forget(self, entries: Sequence[Entry], failed: Mapping[int, Exception]) -> None:
        """An attempt that has ended writes no more. One whose end could not be written may try
        another one, which must have a number of its own."""
        with self._changed:
            for position, entry in enumerate(entries):
                error = failed.get(position)
                if entry.ending is not None and (error is None or isinstance(error, Fenced)):
                    self._numbers.pop((entry.lease.run_id, entry.lease.attempt), None)

    def _try(self, entries: Sequence[Entry]) -> Mapping[int, Exception]:
        """Write, and again while the database is away; what stood in the way, per position."""
        try:
            outcome = while_away(
                lambda: commit.write(entries, self._attach),
                who="the journal's writer",
                stopping=lambda: self._giving_up,
            )
            self._hint(outcome.ended)
            faults.points("after_hint", _places(entries))
            return outcome.fenced
        except Exception as error:
            if is_transient(error):  # the writer gives up
                return dict.fromkeys(range(len(entries)), error)
            return self._try_apart(entries, error)  # something in the batch cannot be stored

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
        if not any(entry.urgent for entry in entries):
            self._broken[run] = error
        return dict.fromkeys(range(len(entries)), error)

    def _is_broken(self, entry: Entry) -> bool:
        """Whether something of the entry's attempt was lost that nobody waited for. The first who
        waits is told, and nothing is written in between: a log with a hole in it is no log. Who
        handed something over without waiting is told, too, but may have handed over more."""
        run = (entry.lease.run_id, entry.lease.attempt)
        error = self._broken.get(run)
        if error is None:
            return False
        if entry.waiter is not None:
            if entry.urgent:
                del self._broken[run]
            settle([(entry.waiter, error)])
        return True


def _places(entries: Sequence[Entry]) -> Iterator[faults.Place]:
    """Which runs a batch takes further, and to which steps."""
    for entry in entries:
        run_id = entry.lease.run_id
        yield from ((run_id, superstep.checkpoint.step) for superstep in entry.supersteps)
        if entry.ending is not None:
            yield run_id, None
