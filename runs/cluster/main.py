"""The cluster as its parent process sees it: start it, keep it, stop it."""

from __future__ import annotations

import os
import shutil
import socket
import uuid
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from django.db import connections
from django.utils.module_loading import import_string
from django_q import cluster as q2
from django_q.conf import logger as q2_logger

from runs.cluster.sentinel import FORK, GRACE_SECONDS, Child, Sentinel, begin_sentinel
from runs.conf import conf
from runs.process import processes, stop_request
from runs.process.shared_flag import Flag

_START_SECONDS = 30.0
_STOP_SECONDS = GRACE_SECONDS + 3.0  # the sentinel's own limits, and a little


class Cluster(q2.Cluster):
    """django-q2's cluster, without its signal handlers, and with a sentinel that may die.

    The process that makes it must have neither threads nor an event loop, then and later: `keep`
    forks again when the sentinel is gone. Call `keep` every now and then, at least once a second.
    """

    def __init__(self, *, keep_from_children: Sequence[int] = ()) -> None:
        """`keep_from_children`: descriptors of this process that the cluster must not inherit."""
        # Not q2's own __init__: it takes over the signals of the process.
        self.cluster_id = uuid.uuid4()
        self.host = socket.gethostname()
        self.pid = os.getpid()
        self.broker = None
        self.timeout = None
        self.sentinel: Child | None = None
        self.stop_event = Flag()
        self.start_event = Flag()
        self._keep_from_children = keep_from_children

    def start(self) -> int:
        """Fork the sentinel and wait until it has started its children."""
        stop_request.arm(self.stop_event)
        self._spawn()
        deadline = monotonic() + _START_SECONDS
        while not self.start_event.wait(0.1):
            if self.sentinel is None or not self.sentinel.is_alive() or monotonic() > deadline:
                raise RuntimeError("The worker cluster did not start; the log above says why.")
        return self.pid

    def keep(self) -> bool:
        """Start the sentinel anew if it is gone; its children died with it. True when it was."""
        if self.sentinel is None or self.sentinel.is_alive() or self.stop_event.is_set():
            return False
        q2_logger.warning("The sentinel %s died; the cluster starts anew", self.sentinel.pid)
        self.sentinel.join()
        self._spawn()
        return True

    def ask_to_stop(self) -> None:
        """Tell every process of the cluster to stop, and return at once."""
        self.stop_event.set()

    def stop(self) -> bool:
        """Stop within the grace period and a little, whatever a worker is doing; nothing is left.
        False when the cluster was not running."""
        self.ask_to_stop()
        if self.sentinel is None:
            return False
        self.sentinel.join(_STOP_SECONDS)
        if self.sentinel.is_alive():
            self.sentinel.kill()  # its children die with it
            self.sentinel.join()
        self.sentinel = None
        return True

    def _spawn(self) -> None:
        import_string(conf().worker_job)  # here, once, and not by every worker at its first wake-up
        for handler in connections.all(initialized_only=True):
            handler.close()
        spool = _fresh_spool()
        args = (self.stop_event, self.start_event, self.cluster_id, spool)
        self.sentinel = FORK.Process(
            target=begin_sentinel,
            args=(os.getpid(), "fg:sentinel", self._sentinel, *args),
            name="fg:sentinel",
        )
        self.sentinel.start()

    def _sentinel(self, *args: Any) -> None:
        for descriptor in self._keep_from_children:
            os.close(descriptor)
        Sentinel(*args)


def _fresh_spool() -> Path:
    """An empty folder for items that are too big for a record; those of dead clusters go."""
    folder = conf().data_dir / "spool"
    for left in folder.glob("*"):
        if left.name == str(os.getpid()) or processes.process_started(int(left.name)) is None:
            shutil.rmtree(left, ignore_errors=True)
    spool = folder / str(os.getpid())
    folder.mkdir(mode=0o700, exist_ok=True)
    spool.mkdir(mode=0o700)
    return spool
