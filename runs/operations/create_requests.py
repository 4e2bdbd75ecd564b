"""Creating the runs of several requests in one transaction, and those of each request once.

A caller that waits for a commit may share it with others: on a busy server a run then costs a part
of a transaction, and a fixed number of statements serves all of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from django.db import connection

from runs.db.errors import TRANSIENT, is_transient
from runs.db.transaction import fast_transaction
from runs.errors import Problem
from runs.models import Run
from runs.operations.create import insert_runs
from runs.operations.multitask import ENQUEUE
from runs.operations.new_run import NewRun, ValidatedRun, validate


@dataclass(frozen=True, kw_only=True)
class CreateRequest:
    """A request for runs, of which all or none are created."""

    news: Sequence[NewRun]
    #: The idempotency key, for a request for one run: it creates the run once, however often it is
    #: repeated.
    key: str | None = None


@dataclass(frozen=True, kw_only=True)
class CreateResult:
    """The runs of a request."""

    runs: Sequence[Run]
    #: False if they were created before, by an equal request with the same key.
    new: bool = True


_Outcomes = dict[int, CreateResult | Exception]
#: The runs of some of the requests, by the position of the request.
_Group = Mapping[int, list[ValidatedRun]]
_DEFAULTS = {field.name: getattr(NewRun(), field.name) for field in fields(NewRun)}


def create(request: CreateRequest) -> CreateResult:
    """Create the runs of one request; they are durable on return. Simultaneous calls with one key
    get one run.

    Raises Problem 422 as `create_runs`, and 409 for a key of a different request.
    """
    (outcome,) = create_many([request])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def create_many(requests: Sequence[CreateRequest]) -> list[CreateResult | Exception]:
    """The outcome of each request, in their order. They share a transaction and nothing else: an
    invalid request fails alone."""
    outcomes: _Outcomes = {}
    valid: dict[int, list[ValidatedRun]] = {}
    for position, request in enumerate(requests):
        try:
            valid[position] = _validate(request)
        except Exception as error:
            outcomes[position] = error
    first, later = _split_conflicting(valid)
    for group in (first, *later):
        outcomes |= _insert_group(group)
    return [outcomes[position] for position in range(len(requests))]


def _validate(request: CreateRequest) -> list[ValidatedRun]:
    runs = validate(request.news)
    if request.key is None:
        return runs
    (run,) = runs
    # Only fields that differ from their defaults: a new field changes no older fingerprint.
    # Not `asdict`, which copies the payload value by value.
    content = {
        name: value
        for name, default in _DEFAULTS.items()
        if (value := getattr(run.new, name)) != default
    }
    text = json.dumps(content, sort_keys=True, default=str)
    fingerprint = hashlib.sha256(text.encode()).hexdigest()
    return [replace(run, key=request.key, fingerprint=fingerprint)]


def _split_conflicting(group: _Group) -> tuple[_Group, list[_Group]]:
    """The requests that one transaction can serve, and the others one by one.

    A second request with a key comes after the first is stored. A request that displaces the runs
    of its thread comes after all others.
    """
    first: dict[int, list[ValidatedRun]] = {}
    later: list[_Group] = []
    keys: set[str] = set()
    for position, runs in group.items():
        key = runs[0].key if runs else None
        displaces = any(run.new.thread and run.new.multitask_strategy != ENQUEUE for run in runs)
        if key in keys or displaces:
            later.append({position: runs})
            continue
        first[position] = runs
        if key is not None:
            keys.add(key)
    return first, later


def _insert_group(group: _Group) -> _Outcomes:
    if not group:
        return {}
    try:
        with fast_transaction(connection):
            return _insert(group)
    except Exception as error:
        if is_transient(error):  # the database is away or locked: no request is at fault
            return dict.fromkeys(group, error)
        if len(group) > 1:
            outcomes: _Outcomes = {}
            for position, runs in group.items():
                outcomes |= _insert_group({position: runs})
            return outcomes
        return _after_error(error, group)


def _after_error(error: Exception, group: _Group) -> _Outcomes:
    """The outcome of a request that failed alone: another process may have stored its key first."""
    (position,) = group
    try:
        stored = _stored(group) if isinstance(error, TRANSIENT) else {}
    except TRANSIENT:
        stored = {}
    return {position: stored.get(position, error)}


def _insert(group: _Group) -> _Outcomes:
    outcomes = _stored(group)
    left = {position: runs for position, runs in group.items() if position not in outcomes}
    inserted = iter(insert_runs([run for runs in left.values() for run in runs]))
    for position, runs in left.items():
        outcomes[position] = CreateResult(runs=[next(inserted) for _ in runs])
    return outcomes


def _stored(group: _Group) -> _Outcomes:
    """The outcomes of those requests whose keys are stored already."""
    keys = {run.key: position for position, runs in group.items() for run in runs if run.key}
    if not keys:
        return {}
    outcomes: _Outcomes = {}
    for run in Run.objects.filter(idempotency_key__in=list(keys)):
        position = keys[run.idempotency_key or ""]
        same = run.fingerprint == group[position][0].fingerprint
        outcomes[position] = CreateResult(runs=[run], new=False) if same else _reused_key(run)
    return outcomes


def _reused_key(run: Run) -> Problem:
    return Problem(
        409,
        "idempotency_key_reused",
        f"Idempotency-Key {run.idempotency_key!r} was used for another request, which made run"
        f" {run.pk}. Use a new key for a new request.",
    )
