"""Concurrency keys of new runs: given with the run, or made of its payload by its workflow.

A key is a name for something that bears only so much at once, whatever workflows use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runs.db.guard.user_calls import undisturbed
from runs.db.guard.user_threads import LeftOpen
from runs.engine.names import as_text
from runs.errors import Problem
from runs.models import Run
from runs.validation import Fault, value_faults
from runs.workflows import Workflow

MAX_KEY = 255
MAX_LIMIT = 100_000


def faults(key: Any, limit: Any) -> list[Fault]:
    """Why a run cannot have this key and limit; empty when it can."""
    found: list[Fault] = []
    if key is not None:
        found += _key_faults(key)
    elif limit is not None:
        detail = "Give a `concurrency_key` too: it is how many runs of that key run at once."
        found.append({"at": "/concurrency_limit", "detail": detail})
    # JSON's true is Python's 1.
    if limit is not None and (type(limit) is not int or not 1 <= limit <= MAX_LIMIT):
        detail = f"This must be a whole number from 1 to {MAX_LIMIT}."
        found.append({"at": "/concurrency_limit", "detail": detail})
    return found


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a run shares with others: it begins while fewer than `limit` of its `key` run. Both or
    neither are None."""

    key: str | None = None
    limit: int | None = None


def place(
    workflow: Workflow,
    payload: Mapping[str, Any],
    key: str | None = None,
    limit: int | None = None,
) -> Place:
    """Key and limit of a new run: as given, or else as its workflow makes them of the payload.
    Problem 422 when the workflow cannot."""
    key = _computed(workflow, payload) if key is None else key
    if key is None:
        return Place()
    return Place(key=key, limit=workflow.key_limit if limit is None else limit)


def place_again(workflow: Workflow, source: Run, payload: Mapping[str, Any] | None) -> Place:
    """Key and limit of a run that does again what `source` did, with another payload (None: with
    the same): a key that was given stays, one that was made is made anew."""
    old = Place(key=source.concurrency_key, limit=source.concurrency_limit)
    if workflow.concurrency_key is None or payload is None or payload == source.given:
        return old
    made = _computed(workflow, source.given or {})
    return place(workflow, payload) if made == old.key else old


def _computed(workflow: Workflow, payload: Mapping[str, Any]) -> str | None:
    if workflow.concurrency_key is None:
        return None
    who = f"The concurrency_key of workflow {workflow.name!r}"
    try:
        key: Any = undisturbed(who, workflow.concurrency_key, payload)
    except LeftOpen as error:
        raise _unusable(workflow, f"its author must correct it. {error}") from error
    except Exception as error:
        raise _unusable(workflow, f"it raised {type(error).__name__} for this payload") from error
    if key is not None and (wrong := _key_faults(key)):
        raise _unusable(workflow, f"for this payload it made {key!r:.100}: {wrong[0]['detail']}")
    return None if key is None else as_text(key)


def _unusable(workflow: Workflow, why: str) -> Problem:
    detail = (
        f"The concurrency_key of workflow {workflow.name!r} cannot be used: {why}. Correct the"
        " payload or the workflow, or give the run a `concurrency_key` of its own."
    )
    errors = [{"at": "/payload", "detail": "No concurrency key can be made of this."}]
    return Problem(422, "unusable_concurrency_key", detail, errors)


def _key_faults(key: Any) -> list[Fault]:
    at = "/concurrency_key"
    if not isinstance(key, str) or not 1 <= len(key) <= MAX_KEY:
        return [{"at": at, "detail": f"This must be text of 1 to {MAX_KEY} characters."}]
    return value_faults(key, at)
