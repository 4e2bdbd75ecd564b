"""What a worker of the cluster is given: declared jobs."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from runs.cluster import jobs
from runs.cluster.queues import RecordQueue


class DeclaredJobs:
    """The queue of jobs as a worker reads it. One that is not declared is recorded as failed and
    acknowledged, and the worker never sees it: django-q2 would import what it names."""

    def __init__(self, waiting: RecordQueue, results: RecordQueue) -> None:
        self._waiting = waiting
        self._results = results

    def get(self) -> Any:
        """The next declared job, or the text that ends a worker; waits for it."""
        while True:
            job = self._waiting.get()
            if not isinstance(job, dict):
                return job
            why = jobs.refusal(job)
            if not why:
                return _runnable(job)
            jobs.report(job["name"], job["func"], why)
            self._results.put(_refused(job, why))


def _runnable(job: dict[str, Any]) -> dict[str, Any]:
    # What django-q2 takes for granted, and would end its worker or its monitor without.
    if job.get("timeout", 0) is None:
        del job["timeout"]
    chained = {"group": None, "cached": False} if job.get("chain") else {}
    return {**chained, **job, "func": str(job["func"]), "sync": False}


def _refused(job: dict[str, Any], why: str) -> dict[str, Any]:
    """The result of the job: without its hook, its chain and its place in a group."""
    now = timezone.now()
    return {
        "id": job["id"],
        "name": job["name"],
        "func": str(job["func"]),
        "args": job["args"],
        "kwargs": job["kwargs"],
        "started": job.get("started") or now,
        "stopped": now,
        "result": why,
        "success": False,
        "cluster": job.get("cluster"),
        "ack_id": job.get("ack_id"),
        "ack_failure": True,
    }


def queue_inline_job(sender: object, task: dict[str, Any], **kwargs: Any) -> None:
    """A receiver of `pre_enqueue`: a schedule or a chain that asks for `sync` would be executed
    where it is queued, by the process that keeps the cluster, past all workers."""
    task["sync"] = False
