"""The sentinel: starts the processes of a cluster, replaces whichever dies, ends them all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from multiprocessing import connection, context, get_context
from pathlib import Path
from time import monotonic
from typing import Any

from django.db import connections
from django_q import cluster as q2
from django_q.conf import Conf
from django_q.conf import logger as q2_logger
from django_q.signals import pre_enqueue
from django_q.utils import close_old_django_connections
from django_q.worker import worker

from runs.cluster.job_queue import DeclaredJobs, queue_inline_job
from runs.cluster.queues import RecordQueue, ResultQueue
from runs.cluster.schedules import queue_due_schedules
from runs.cluster.timers import Timer
from runs.db import idle_timeout
from runs.db.retry import Outage
from runs.process import forking, node_processes, process_tree, processes
from runs.process.shared_flag import Flag

#: How long a stopping cluster waits for its workers before it kills them.
GRACE_SECONDS = 5.0
_CHILDREN_SECONDS = 1.0  # for the processes that nodes have left, when their worker ends
_LAST_SECONDS = 1.0  # for the pusher before, and for the monitor after
_STOP_CYCLE = 0.02
_BREATH_SECONDS = 0.05  # between two replacements, so that what dies at birth does not spin
_SCHEDULE_SECONDS = 30.0

FORK = get_context("fork")
Child = context.ForkProcess


def begin(parent: int, name: str, target: Callable[..., object], *args: object) -> None:
    """What every forked process of ours runs: it never outlives `parent`."""
    processes.die_with_parent(parent)
    processes.forget_parent()
    processes.name_process(name)
    target(*args)


def begin_sentinel(parent: int, name: str, target: Callable[..., object], *args: object) -> None:
    """What the forked sentinel runs: when `parent` dies, it ends its children, with all that nodes
    have started, and then itself."""
    processes.when_parent_dies(parent, lambda: process_tree.end_orphans(()))
    processes.adopt_orphans()
    processes.name_process(name)
    idle_timeout.enable_for_thread()
    try:
        target(*args)
    except BaseException:
        q2_logger.exception("The sentinel ends")
        process_tree.end_orphans(())
        os._exit(1)  # the workers are no daemons, and would be waited for


def _in_background(target: Callable[..., object], *args: object) -> None:
    """One of the processes that execute no jobs: all its transactions are ours."""
    idle_timeout.enable_for_thread()
    target(*args)


class Sentinel(q2.Sentinel):
    """django-q2's sentinel on queues, flags and timers without locks, so that no process takes one
    along when it is killed; its children die with it; and stopping has a limit."""

    def __init__(self, stop: Flag, started: Flag, cluster_id: uuid.UUID, spool: Path) -> None:
        super().__init__(stop, started, cluster_id, start=False)
        pre_enqueue.connect(queue_inline_job)
        self.event_out = Flag()
        self.task_queue = RecordQueue(spool, Conf.QUEUE_LIMIT)
        self.result_queue = ResultQueue(spool)
        self._schedule_at = monotonic() + _SCHEDULE_SECONDS
        self._outage = Outage("the schedules")
        self.start()

    def spawn_process(self, target: Callable[..., object], *args: object) -> Child:
        name = f"fg:{target.__name__}"
        run = self._work if target is worker else _in_background
        process = FORK.Process(
            target=begin, args=(os.getpid(), name, run, target, *args), name=name
        )
        process.daemon = target is not worker  # a daemon may have no children
        process.start()
        return process

    def _work(self, target: Callable[..., object], *args: object) -> None:
        """A worker; what nodes and other jobs start in it ends with it."""
        idle_timeout.disable_for_thread()  # the thread comes from the sentinel
        shared = (self.stop_event, self.start_event, self.event_out)
        queues = (self.task_queue, self.result_queue)
        forking.prepare_worker(d for part in (*shared, *queues) for d in part.descriptors)
        node_processes.install()
        processes.adopt_orphans()
        pre_enqueue.disconnect(queue_inline_job)
        try:
            target(*args)
        finally:
            process_tree.end_below(os.getpid(), _CHILDREN_SECONDS)

    def spawn_worker(self) -> None:
        timer = Timer()
        declared = DeclaredJobs(self.task_queue, self.result_queue)
        process = self.spawn_process(worker, declared, self.result_queue, timer, self.timeout)
        process.timer = timer  # type: ignore[attr-defined]
        self.pool.append(process)

    def spawn_cluster(self) -> None:
        connections.close_all()  # a connection must not be shared across a fork
        self.pool: list[Any] = []
        for _ in range(self.pool_size):
            self.spawn_worker()
        self.monitor = self.spawn_monitor()
        self.pusher = self.spawn_pusher()

    def guard(self) -> None:
        """Watch over the children until the cluster is to stop: a death is seen at once, a job
        that is out of time and a schedule that is due within a cycle."""
        self.start_event.set()
        while not self.stop_event.is_set():
            self._replace_lost()
            process_tree.reap_orphans(self._pids())
            if monotonic() >= self._schedule_at:
                self._schedule_at = monotonic() + _SCHEDULE_SECONDS
                self._keep_schedules()
            connection.wait(
                [self.stop_event, *(child.sentinel for child in self._children())],
                timeout=Conf.GUARD_CYCLE,
            )
        self.stop()

    def _keep_schedules(self) -> None:
        close_old_django_connections()
        self._outage.unless_away(lambda: queue_due_schedules(self.broker), None)

    def stop(self) -> None:
        """End everything: unread jobs go back to the queue, busy workers have the grace period,
        results that are ready are saved."""
        self.event_out.set()
        # The pusher may wait for room in the queue: make some until it is gone.
        _end([self.pusher], _LAST_SECONDS, meanwhile=self._give_back)
        self._give_back()
        _end(self.pool, GRACE_SECONDS, meanwhile=self._dismiss)
        process_tree.end_orphans(self._pids())
        self.result_queue.put("STOP")
        _end([self.monitor], _LAST_SECONDS)

    def _children(self) -> list[Any]:
        return [*self.pool, self.monitor, self.pusher]

    def _pids(self) -> list[int]:
        return [child.pid for child in self._children()]

    def _replace_lost(self) -> None:
        lost = [child for child in self._children() if not child.is_alive()]
        late = [child for child in self.pool if child not in lost and child.timer.value == 0]
        for child in late:
            child.kill()  # no lock and no half-written result can be lost with it
        for child in (*lost, *late):
            child.join()
        if lost or late:
            process_tree.end_orphans(self._pids())
        for child in (*lost, *late):
            self._replace(child, "ran out of time" if child in late else _cause(child))
        if lost or late:
            self.event_out.wait(_BREATH_SECONDS)

    def _replace(self, child: Any, cause: str) -> None:
        connections.close_all()
        if child is self.monitor:
            self.monitor = self.spawn_monitor()
        elif child is self.pusher:
            self.pusher = self.spawn_pusher()
        else:
            self.pool.remove(child)
            self.spawn_worker()
        self.reincarnations += 1
        q2_logger.warning("%s %s %s; a new one takes its place", child.name, child.pid, cause)

    def _give_back(self) -> None:
        """Unlock the jobs that were fetched and not begun: another cluster, or this one after its
        restart, need not wait for their locks to lapse."""
        while task := self.task_queue.get_nowait():
            self.broker.release(task["ack_id"])

    def _dismiss(self) -> None:
        """Send one idle worker home. One at a time, because busy workers leave the messages lying
        and a pipe has only so much room."""
        if self.task_queue.empty():
            self.task_queue.put("STOP")


def _cause(child: Any) -> str:
    code = child.exitcode
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


def _end(children: list[Any], seconds: float, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Wait for `children` to end, `seconds` in all, and do `meanwhile` again and again; then kill
    those that have not ended."""
    deadline = monotonic() + seconds
    while (alive := [child for child in children if child.is_alive()]) and monotonic() < deadline:
        meanwhile()
        connection.wait([child.sentinel for child in alive], timeout=_STOP_CYCLE)
    for child in alive:
        q2_logger.warning("%s %s did not stop in time and is killed", child.name, child.pid)
        child.kill()
        child.join()
