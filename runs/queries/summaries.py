"""A run in one line: what lists of runs show, over REST and over the feed alike; and all of one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone

from runs.models import Run

#: What a summary is made of; for `Run.objects.values(*COLUMNS)`, which leaves the payload behind.
COLUMNS = (
    "id",
    "thread_id",
    "workflow",
    "workflow_version",
    "name",
    "status",
    "tags",
    "error",
    "created_at",
    "updated_at",
    "started_at",
    "finished_at",
    "attempt",
    "seq",
    "step",
    "checkpoint_id",
    "source_run_id",
    "paused_at",
)


def summarise(run: Run | Mapping[str, Any]) -> dict[str, Any]:
    """The summary of `run` (a Run, or a row of its COLUMNS) as plain JSON values, ids and times
    as text. Neither payload nor metadata nor traceback; `duration_seconds` of a run that has not
    finished is its duration until now."""
    row = {name: getattr(run, name) for name in COLUMNS} if isinstance(run, Run) else run
    return {
        "id": str(row["id"]),
        "run_id": str(row["id"]),
        "thread": str(row["thread_id"]),
        "workflow": row["workflow"],
        "workflow_version": row["workflow_version"],
        "name": row["name"],
        "status": str(row["status"]),
        "paused": row["paused_at"] is not None,
        "tags": row["tags"],
        "error": _error(row["error"]),
        "created_at": timestamp(row["created_at"]),
        "updated_at": timestamp(row["updated_at"]),
        "started_at": timestamp(row["started_at"]),
        "finished_at": timestamp(row["finished_at"]),
        "duration_seconds": _duration(row["started_at"], row["finished_at"]),
        "attempt": row["attempt"],
        "seq": row["seq"],
        "step": row["step"],
        "checkpoint_id": _text(row["checkpoint_id"]),
        "source_run": _text(row["source_run_id"]),
    }


def detail(run: Run) -> dict[str, Any]:
    """All of one run: its summary, and what lists leave out."""
    summary = summarise(run)
    if run.error is not None:
        summary["error"]["traceback"] = run.error.get("traceback")
    return summary | {
        "payload": run.given,
        "metadata": run.metadata,
        "durability": run.durability,
        "cancel": _cancel(run),
        "pause": pause(run.paused_at, run.pause_by, run.pause_reason),
        "concurrency_key": run.concurrency_key,
        "concurrency_limit": run.concurrency_limit,
    }


def pause(since: datetime | None, by: str, reason: str) -> dict[str, Any] | None:
    """A pause as plain JSON values; None for none."""
    if since is None:
        return None
    return {"paused_at": timestamp(since), "by": by, "reason": reason}


def _cancel(run: Run) -> dict[str, Any] | None:
    if run.cancel_requested_at is None:
        return None
    return {
        "requested_at": timestamp(run.cancel_requested_at),
        "acknowledged_at": timestamp(run.cancel_acknowledged_at),
        "by": run.cancel_by,
        "reason": run.cancel_reason,
    }


def timestamp(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC with six decimals, as in frames; None stays None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)


def _error(error: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if error is None:
        return None
    short = {name: error.get(name) for name in ("type", "message", "node")}
    return short | {"namespace": error.get("namespace", "")}  # which earlier versions left out


def _duration(started: datetime | None, finished: datetime | None) -> float | None:
    if started is None:
        return None
    return ((finished or timezone.now()) - started).total_seconds()
