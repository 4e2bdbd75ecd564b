"""The worker: claims pending runs and executes many of them on one event loop.

One lives inside one django-q2 job: it stays while there is work and for a short linger after, and
gives the django-q2 worker back then.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from time import monotonic
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.models import Q
from django.utils import timezone

from runs import workflows
from runs.conf import conf
from runs.db import idle_timeout
from runs.db.guard import callers, open_transactions
from runs.db.guard.connection_guard import guarded_loop
from runs.db.retry import Outage
from runs.db.sqlite3.database_file import DatabaseFileLost
from runs.engine.concurrency import stopping
from runs.engine.concurrency.thread_pool import Pool
from runs.engine.ids import uuid7
from runs.engine.journal.ports import ArtifactStore
from runs.journal.journal import DurableJournal
from runs.lifecycle import cancellation
from runs.models import Worker as WorkerRow
from runs.notify.changes import WORKERS, CommitHint, listen
from runs.process import processes, stop_request
from runs.process.supervised_thread import RESTART_SECONDS, SupervisedThread
from runs.scheduling import claimable, leases, stalls
from runs.scheduling import claims as scheduling_claims
from runs.scheduling.claims import Claimed
from runs.worker.active_run import CountedThreads, Held
from runs.worker.executor import Executor

_log = logging.getLogger("fastgraph.worker")

#: How long runs that are told to stop may take to put themselves back. Seconds.
STOP_SECONDS = 3.0
#: Between two looks for work without a notification. Seconds.
LOOK_SECONDS = 1.0
#: Between two looks for runs that are to be cancelled: at most, and at least. Seconds.
CANCEL_LOOK, CANCEL_PAUSE = 0.5, 0.05


def _end_process() -> None:
    os._exit(1)


async def _after(before: Held | None, execute: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Execute when the attempt before, which lost its lease, is no longer at it in this process."""
    if before is not None and not before.task.done():
        await stopping.end([before.task])
    await execute()


class Worker:
    """Executes runs until there are none for a while, or the cluster stops. `abandon` ends the
    process: for a node that takes no notice of being cancelled there is no other way. `apart`: it
    executes suspects, one by one, and nothing else; without it, everything else. `spare`: it helps
    out, and claims only while another worker of this host stands still."""

    def __init__(
        self,
        artifacts: ArtifactStore,
        hint: CommitHint = lambda ended: None,
        abandon: Callable[[], object] = _end_process,
        *,
        apart: bool = False,
        spare: bool = False,
    ) -> None:
        self.id: UUID = uuid7()  # until the row of this process is known
        self._settings = conf()
        self._apart = apart
        self._spare = spare
        self._watch: stalls.Watch | None = None
        self._capacity = 1 if apart else self._settings.concurrency
        self._artifacts = artifacts
        self._hint = hint
        self._abandon = abandon
        self._held: dict[str, Held] = {}
        self._stray: list[CountedThreads] = []
        self._news = asyncio.Event()
        self._rang = threading.Event()
        self._seen = False  # by who listens: something to claim, so that it is not looked for twice
        self._leaving = threading.Event()
        #: When the leases were renewed last, by `monotonic`.
        self._renewed_at = monotonic()
        self._claiming = Outage("the worker")
        self._beating = Outage("the worker's heartbeat")
        self._listening = Outage("the worker's listener")
        self._put_down = threading.Event()
        self._ended = threading.Event()

    async def drain(self) -> None:
        """Claim and execute until it is time to go. On return everything that was written is
        durable, what was unfinished is back in the queue, and no thread is left but those of sync
        nodes that do not end."""
        loop = asyncio.get_running_loop()
        stopping.hide(asyncio.current_task())
        with (
            guarded_loop(loop),
            open_transactions.reported(),
            ThreadPoolExecutor(1, "claims", idle_timeout.enable_for_thread) as claims,
        ):
            try:
                await loop.run_in_executor(claims, self._register)
                with self._watched(loop):
                    await self._execute(claims)
            finally:
                await loop.run_in_executor(claims, self._go_to_sleep)

    async def _execute(self, claims: ThreadPoolExecutor) -> None:
        queue_bytes = self._settings.journal_queue_bytes
        journal = DurableJournal(self._artifacts.attach, self._hint, queue_bytes)
        try:
            nodes = Pool(self._settings.node_threads, at_exit=connections.close_all)
            self._watch = stalls.Watch(asyncio.get_running_loop(), nodes)
            executor = Executor(journal=journal, artifacts=self._artifacts, threads=nodes)
            try:
                await self._work(executor, claims)
            finally:
                await self._stop_runs()
                self._put_down.set()
                # Not waited for: a sync node may outlive its run, and nothing can stop it.
                nodes.shutdown(wait=False, cancel_futures=True)
        finally:
            await asyncio.to_thread(journal.close)

    @contextmanager
    def _watched(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """Leases are renewed and news is heard, until the very end: runs that are put back still
        need their leases."""
        self._renewed_at = monotonic()
        watchers = [
            SupervisedThread(
                "heartbeat",
                partial(self._beat, loop),
                ended=self._ended,
                on_death=self._abandon,
                on_error=partial(self._leave_unless_renewed, loop),
            ),
            SupervisedThread(
                "changes", partial(self._listen, loop), ended=self._ended, on_death=self._abandon
            ),
        ]
        for watcher in watchers:
            watcher.start()
        try:
            yield
        finally:
            self._ended.set()
            self._rang.set()
            for watcher in watchers:
                watcher.join()
            if self._watch is not None:
                self._watch.end()

    async def _work(self, executor: Executor, claims: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        leave_at = monotonic() + self._settings.linger_seconds
        while not stop_request.stopping() and not self._leaving.is_set():
            self._news.clear()
            room = self._capacity - len(self._held) if self._keeps_leases() else 0
            if self._spare and not stalls.of_host():
                room = 0  # whom it has helped out goes on
                if not self._held:
                    return
            found = await loop.run_in_executor(claims, self._claim, room) if room else []
            for claimed in found:
                self._start(executor, claimed)
            if self._held or found:
                leave_at = monotonic() + self._settings.linger_seconds
            elif monotonic() >= leave_at:
                return
            if not found or len(found) < room:
                left = LOOK_SECONDS if self._held else leave_at - monotonic()
                await self._wait_for_news(min(left, LOOK_SECONDS))

    async def _wait_for_news(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    def _start(self, executor: Executor, claimed: Claimed) -> None:
        run_id = claimed.lease.run_id
        threads = CountedThreads(executor.threads)
        before = self._held.get(run_id)
        execute = partial(executor.execute, claimed, threads)
        task = asyncio.create_task(_after(before, execute), name=run_id)
        stopping.own([task])
        self._held[run_id] = Held(
            task=task,
            threads=threads,
            attempt=claimed.lease.attempt,
        )
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        stopping.disown([task])
        held = self._held.get(task.get_name())
        if held is not None and held.task is task:
            self._keep_stray(held)
            self._forget(task.get_name())
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("Run %s was left, its lease will lapse", task.get_name(), exc_info=error)

    def _forget(self, run_id: str) -> None:
        held = self._held.get(run_id)
        if held is not None and held.over:
            del self._held[run_id]
            self._news.set()  # there is room again, and the thread's next run may begin

    def _keep_stray(self, held: Held) -> None:
        self._stray = [threads for threads in (*self._stray, held.threads) if threads.busy]

    async def _stop_runs(self) -> None:
        running = [held.task for held in self._held.values() if not held.task.done()]
        for task in running:
            stopping.ask(task)
        if running:
            await asyncio.wait(running, timeout=STOP_SECONDS)

    def _claim(self, room: int) -> list[Claimed]:
        return self._claiming.unless_away(partial(self._claim_now, room), [])

    def _claim_now(self, room: int) -> list[Claimed]:
        seen, self._seen = self._seen, False
        known = workflows.registered()
        if not seen and not claimable.any_pending(apart=self._apart, known=known):
            return []
        return scheduling_claims.claim(self.id, room, apart=self._apart, known=known)

    def _register(self) -> None:
        """Find or make the row of this process, which stays from one job to the next."""
        row, _ = WorkerRow.objects.update_or_create(
            host=processes.host(),
            pid=os.getpid(),
            process_started=processes.process_started(os.getpid()) or "",
            defaults={
                "heartbeat_at": timezone.now(),
                "awake": True,
                "capacity": self._capacity,
                "workflows": workflows.names(),
            },
            create_defaults={
                "id": self.id,
                "capacity": self._capacity,
                "workflows": workflows.names(),
            },
        )
        self.id = row.id

    def _go_to_sleep(self) -> None:
        try:
            self._claiming.unless_away(self._sign_off, None)
        finally:
            connections.close_all()

    def _sign_off(self) -> None:
        """What this cannot write, the next sweep does."""
        if any(not held.task.done() for held in self._held.values()):
            leases.give_back(self.id)
        WorkerRow.objects.filter(id=self.id).update(awake=False, heartbeat_at=timezone.now())

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        """Renew the leases and stop what is to be cancelled, from a thread of its own: a node that
        blocks the event loop must not cost the lease, and must not outlive its cancellation."""
        idle_timeout.enable_for_thread()
        try:
            while not self._ended.is_set():
                self._rang.wait(min(CANCEL_LOOK, self._settings.lease_seconds / 4))
                self._rang.clear()
                self._beating.unless_away(partial(self._beat_once, loop), None)
                self._ended.wait(CANCEL_PAUSE)
        finally:
            connections.close_all()

    def _beat_once(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            if monotonic() >= self._renewed_at + self._settings.lease_seconds / 4:
                self._renew(loop)
            self._look_for_standstills()
            self._stop_cancelled(loop)
            self._replace_when_full_of_strays(loop)
        except DatabaseFileLost as error:
            _log.error("What is executed here can be kept no more, it stops: %s", error)
            self._leave(loop)

    def _keeps_leases(self) -> bool:
        """Whether a lease that is claimed now will be renewed: the heartbeat was there lately."""
        return monotonic() < self._renewed_at + self._settings.lease_seconds

    def _leave_unless_renewed(self, loop: asyncio.AbstractEventLoop) -> None:
        """After an unexpected error of the heartbeat: end the process if it fails every time."""
        if not self._keeps_leases():
            _log.error("The leases were not renewed for as long as they last: the process ends")
            try:
                self._leave(loop)
            finally:
                connections.close_all()

    def _renew(self, loop: asyncio.AbstractEventLoop) -> None:
        """Renew what is executed here, and stop what is not ours any more: the sweep took it back
        while the database or this process stood still."""
        held = {run_id: h.attempt for run_id, h in list(self._held.items()) if not h.task.done()}
        began = monotonic()
        kept = leases.renew(self.id, held)
        self._renewed_at = began
        for run_id in held.keys() - kept:
            if (lost := self._held.get(run_id)) and lost.attempt == held[run_id]:
                loop.call_soon_threadsafe(stopping.ask, lost.task)

    def _look_for_standstills(self) -> None:
        """When the event loop stands still, put back the runs that wait for it, but for those that
        a thread works on: they did not crash, and the spare worker takes them."""
        watch = self._watch
        for found in watch.look(str(self.id)) if watch is not None else ():
            if found.kind != "loop_stands_still" or self._apart:
                continue
            staying = {found.run_id, *callers.runs_at_work()}
            waiting = [
                run_id
                for run_id, held in list(self._held.items())
                if run_id not in staying and not held.task.done()
            ]
            if waiting and (count := leases.give_back(self.id, waiting)):
                _log.warning("%s runs are put back, because the event loop stands still", count)

    def _replace_when_full_of_strays(self, loop: asyncio.AbstractEventLoop) -> None:
        """Nodes that outlive their runs hold threads, or come back to the event loop. When they are
        as many as there are threads, no sync node may run here any more: another process must."""
        self._stray = [threads for threads in self._stray if threads.busy]
        left = sum(threads.busy for threads in self._stray) + stopping.abandoned(loop)
        if left >= self._settings.node_threads:
            _log.error("%s calls of nodes do not end; their worker is replaced", left)
            self._leave(loop)

    def _stop_cancelled(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._held:
            return
        for run_id in cancellation.acknowledge(self.id, timezone.now()):
            if held := self._held.get(run_id):
                held.stop(loop)
        for run_id, held in list(self._held.items()):
            if held.late(self._settings.cancel_seconds):
                _log.error("Run %s does not stop; its worker is replaced", run_id)
                self._leave(loop)
                return
            if held.told_at is not None:
                loop.call_soon_threadsafe(self._forget, run_id)

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """Put everything back and end the process."""
        if not self._leaving.is_set():
            self._leaving.set()
            loop.call_soon_threadsafe(self._news.set)
        self._put_down.wait(STOP_SECONDS + 1)  # in vain when a node blocks the event loop
        try:
            self._beating.unless_away(self._give_all_back, None)  # or else the sweep does
        finally:
            self._abandon()

    def _give_all_back(self) -> None:
        cancellation.overdue(Q(lease_owner=self.id), timezone.now())
        leases.give_back(self.id)

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wake the event loop when there is something to claim, and room for it. Most of what rings
        is our own commits: they must not cost the loop anything."""
        try:
            while not self._ended.is_set():
                self._listening.unless_away(partial(self._listen_until_away, loop), None)
                self._ended.wait(RESTART_SECONDS)
        finally:
            connections.close_all()

    def _listen_until_away(self, loop: asyncio.AbstractEventLoop) -> None:
        with closing(listen("default", WORKERS)) as changes:
            self._listening.answered()
            loop.call_soon_threadsafe(self._news.set)  # for what came before
            while not self._ended.is_set():
                if changes.wait(0.2):
                    self._rang.set()
                    room = len(self._held) < self._capacity
                    known = workflows.registered()
                    if room and claimable.any_pending(apart=self._apart, known=known):
                        self._seen = True
                        loop.call_soon_threadsafe(self._news.set)
