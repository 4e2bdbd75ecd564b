"""Who is notified of a change of a run: watchers, waiting workers, and a worker's wake-up job.

Each function belongs to the open transaction: the notification goes out with its commit, or not at
all. A lost notification delays, it loses nothing: watchers and workers also look by themselves.
"""

from __future__ import annotations

from runs.lifecycle import wakeup
from runs.notify import changes


def notify_watchers(*, ended: bool = True) -> None:
    """Notify the processes that stream events or list runs. `ended`: a run may have ended. On
    SQLite the watchers of the same process get only such a notification; they notice any other
    commit by a look, within 25 ms."""
    changes.notify_changes(ended=ended)


def notify_workers() -> None:
    """Notify the workers that are awake: there may be work, or a request to stop a run."""
    changes.notify_workers()


def wake_worker(*, isolated: bool = False) -> None:
    """Queue a wake-up job, unless one is queued, and notify the workers that are awake.
    `isolated`: wake the workers that execute one suspect run each."""
    wakeup.ring(apart=isolated)


def notify(*, ended: bool, makes_work: bool = False) -> None:
    """Notify the watchers, and if the transaction `makes_work` the workers."""
    notify_watchers(ended=ended)
    if makes_work:
        notify_workers()
