"""The worker: claims pending runs and executes many of them on one event loop.

One lives inside one django-q2 job: it stays while there is work and for a short linger after, and
gives the django-q2 worker back then.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from time import monotonic
from uuid import UUID

from django.db import DatabaseError, connection, connections
from django.utils import timezone

from runs import leases, processes, shutdown
from runs.conf import conf
from runs.doorbell import doorbell
from runs.engine.ids import uuid7
from runs.engine.ports import ArtifactStore
from runs.executor import Executor
from runs.journal import DurableJournal
from runs.leases import Claimed
from runs.models import Worker as WorkerRow

_log = logging.getLogger("fastgraph.worker")

#: How long runs that are told to stop may take to put themselves back. Seconds.
STOP_SECONDS = 3.0
#: Under the doorbell: a look for work that nothing rang for. Seconds.
LOOK_SECONDS = 1.0


class Worker:
    """Executes runs until there are none for a while, or the cluster stops."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self.id: UUID = uuid7()  # until the row of this process is known
        self._settings = conf()
        self._artifacts = artifacts
        self._running: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._ended = threading.Event()

    async def drain(self) -> None:
        """Claim and execute until it is time to go. On return everything that was written is
        durable, what was unfinished is back in the queue, and no thread is left."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "claims") as claims:
            try:
                await loop.run_in_executor(claims, self._register)
                with self._watched(loop):
                    await self._execute(claims)
            finally:
                await loop.run_in_executor(claims, self._go_to_sleep)

    async def _execute(self, claims: ThreadPoolExecutor) -> None:
        journal = DurableJournal(self._artifacts.attach)
        try:
            with ThreadPoolExecutor(self._settings.node_threads, "node") as nodes:
                executor = Executor(journal=journal, artifacts=self._artifacts, threads=nodes)
                try:
                    await self._work(executor, claims)
                finally:
                    await self._stop_runs()
        finally:
            await asyncio.to_thread(journal.close)

    @contextmanager
    def _watched(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """Leases are renewed and news is heard, until the very end: runs that are put back still
        need their leases."""
        watchers = [
            threading.Thread(target=self._beat, name="heartbeat"),
            threading.Thread(target=self._listen, args=(loop,), name="doorbell"),
        ]
        for watcher in watchers:
            watcher.start()
        try:
            yield
        finally:
            self._ended.set()
            for watcher in watchers:
                watcher.join()

    async def _work(self, executor: Executor, claims: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        leave_at = monotonic() + self._settings.linger_seconds
        while not shutdown.stopping():
            self._news.clear()
            room = self._settings.concurrency - len(self._running)
            found = await loop.run_in_executor(claims, self._claim, room) if room else []
            for claimed in found:
                self._start(executor, claimed)
            if self._running or found:
                leave_at = monotonic() + self._settings.linger_seconds
            elif monotonic() >= leave_at:
                return
            if not found or len(found) < room:
                left = LOOK_SECONDS if self._running else leave_at - monotonic()
                await self._wait_for_news(min(left, LOOK_SECONDS))

    async def _wait_for_news(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    def _start(self, executor: Executor, claimed: Claimed) -> None:
        task = asyncio.create_task(executor.execute(claimed), name=claimed.lease.run_id)
        self._running.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._news.set()  # there is room again, and the thread's next run may begin
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("Run %s was left, its lease will lapse", task.get_name(), exc_info=error)

    async def _stop_runs(self) -> None:
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=STOP_SECONDS)

    def _claim(self, room: int) -> list[Claimed]:
        try:
            return leases.claim(self.id, room) if leases.any_pending() else []
        except DatabaseError as error:
            _log.warning("Runs cannot be claimed, trying again: %s", error)
            connection.close()
            return []

    def _register(self) -> None:
        """Find or make the row of this process, which stays from one job to the next."""
        row, _ = WorkerRow.objects.update_or_create(
            host=processes.host(),
            pid=os.getpid(),
            process_started=processes.process_started(os.getpid()) or "",
            defaults={
                "heartbeat_at": timezone.now(),
                "awake": True,
                "capacity": self._settings.concurrency,
            },
            create_defaults={"id": self.id, "capacity": self._settings.concurrency},
        )
        self.id = row.id

    def _go_to_sleep(self) -> None:
        try:
            WorkerRow.objects.filter(id=self.id).update(awake=False, heartbeat_at=timezone.now())
        except DatabaseError as error:
            _log.warning("The worker's row says awake until the next sweep: %s", error)
        finally:
            connections.close_all()

    def _beat(self) -> None:
        """Renew the leases from a thread of its own: a node that blocks the event loop must not
        cost the lease."""
        while not self._ended.wait(self._settings.lease_seconds / 4):
            try:
                leases.renew(self.id)
            except DatabaseError as error:
                _log.warning("The leases cannot be renewed, trying again: %s", error)
                connection.close()
        connections.close_all()

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wake the event loop whenever something was committed."""
        while not self._ended.is_set():
            try:
                bell = doorbell("default")
                while not self._ended.is_set():
                    if bell.wait(0.2):
                        loop.call_soon_threadsafe(self._news.set)
                bell.close()
            except DatabaseError as error:
                _log.warning("The doorbell broke, trying again: %s", error)
                self._ended.wait(1.0)
        connections.close_all()
