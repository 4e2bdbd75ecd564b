"""Which tasks of a worker's runs wait for one of its threads: `why` tells them from those that
run."""

from __future__ import annotations

from dataclasses import dataclass

from runs.engine.concurrency.thread_pool import Pool
from runs.engine.execution.task.task_call import current
from runs.process import reports

KIND = "thread_waits"
#: A task that waits for less is no news. Seconds.
_SHORT = 1.0


@dataclass(frozen=True, kw_only=True)
class ThreadWaits:
    """The ids of the tasks that wait in `process`."""

    process: str
    tasks: list[str]


def publish(threads: Pool | None) -> None:
    """Let other processes know which tasks wait for one of these threads; None: none does."""
    found = _waiting(threads) if threads is not None else []
    report = ThreadWaits(process=reports.own_process(), tasks=found)
    reports.publish(reports.path_of(KIND), [report] if found else [])


def published() -> set[str]:
    """The ids of all tasks that wait for a thread of their worker."""
    return {task for report in reports.published(KIND, ThreadWaits) for task in report.tasks}


def _waiting(threads: Pool) -> list[str]:
    calls = [memo for context in threads.waiting(_SHORT) if (memo := context.get(current))]
    return list({memo.task.task_id: None for memo in calls if not memo.over})
