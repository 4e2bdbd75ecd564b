"""Creating what many ask for at the same time, in one transaction, and each wish once.

Whoever waits for a commit may as well wait for one that others share: on a busy server a run then
costs a part of a transaction, and a fixed number of statements serves them all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from django.db import connection

from runs import manager
from runs.db.errors import TRANSIENT, is_transient
from runs.db.transaction import fast_transaction
from runs.errors import Problem
from runs.manager import Checked, NewRun
from runs.models import Run
from runs.multitask import ENQUEUE


@dataclass(frozen=True, kw_only=True)
class Wish:
    """The runs that one request asks for, all or none. With a `key` it is one run, and the wish is
    granted once, however often it is made."""

    news: Sequence[NewRun]
    key: str | None = None


@dataclass(frozen=True, kw_only=True)
class Made:
    """The runs of a wish. Not `new`: they were made before, for the same wish."""

    runs: Sequence[Run]
    new: bool = True


def create(wish: Wish) -> Made:
    """The runs of one wish, durable. Problem 422 as `manager.create_runs`; 409 for a key that was
    used for another wish. Any number of callers with one key at the same time get one run."""
    (outcome,) = create_together([wish])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def create_together(wishes: Sequence[Wish]) -> list[Made | Exception]:
    """What became of each wish, in their order. They share a transaction, and nothing else: what
    is wrong with one is its own, and the others are granted."""
    outcomes: dict[int, Made | Exception] = {}
    wanted: dict[int, list[Checked]] = {}
    for place, wish in enumerate(wishes):
        try:
            wanted[place] = _check(wish)
        except Exception as error:
            outcomes[place] = error
    first, later = _apart(wanted)
    for group in (first, *later):
        outcomes |= _grant(group)
    return [outcomes[place] for place in range(len(wishes))]


_Group = Mapping[int, list[Checked]]
_PLAIN = {field.name: getattr(NewRun(), field.name) for field in fields(NewRun)}


def _check(wish: Wish) -> list[Checked]:
    wanted = manager.check(wish.news)
    if wish.key is None:
        return wanted
    (one,) = wanted
    # Only what is not as it is by default: a field that comes later changes no fingerprint.
    # Not `asdict`, which copies the payload value by value.
    given = {n: value for n, plain in _PLAIN.items() if (value := getattr(one.new, n)) != plain}
    asked = json.dumps(given, sort_keys=True, default=str)
    fingerprint = hashlib.sha256(asked.encode()).hexdigest()
    return [replace(one, key=wish.key, fingerprint=fingerprint)]


def _apart(wanted: _Group) -> tuple[_Group, list[_Group]]:
    """Those that can be granted together, and the others one by one: a key that several have must
    be on record before the second of them is looked at, and so must the runs of a thread before
    one comes for which they are to make way."""
    first: dict[int, list[Checked]] = {}
    later: list[_Group] = []
    keys: set[str] = set()
    for place, group in wanted.items():
        key = group[0].key if group else None
        pushes = any(one.new.thread and one.new.multitask_strategy != ENQUEUE for one in group)
        if key in keys or pushes:
            later.append({place: group})
            continue
        first[place] = group
        if key is not None:
            keys.add(key)
    return first, later


def _grant(group: _Group) -> dict[int, Made | Exception]:
    if not group:
        return {}
    try:
        with fast_transaction(connection):
            return _insert(group)
    except Exception as error:
        if _concerns_all(error):
            return dict.fromkeys(group, error)
        if len(group) > 1:
            apart = [_grant({place: wanted}) for place, wanted in group.items()]
            return {place: outcome for one in apart for place, outcome in one.items()}
        return _after(error, group)


def _concerns_all(error: Exception) -> bool:
    """Whether the database is away or locked, rather than something in a wish wrong."""
    return is_transient(error)


def _after(error: Exception, group: _Group) -> dict[int, Made | Exception]:
    """What became of a wish that failed alone: somebody else with its key may have been faster."""
    (place,) = group
    try:
        made = _made_before(group) if isinstance(error, TRANSIENT) else {}
    except TRANSIENT:
        made = {}
    return {place: made.get(place, error)}


def _insert(group: _Group) -> dict[int, Made | Exception]:
    outcomes = _made_before(group)
    left = {place: wanted for place, wanted in group.items() if place not in outcomes}
    runs = iter(manager.insert([one for wanted in left.values() for one in wanted]))
    for place, wanted in left.items():
        outcomes[place] = Made(runs=[next(runs) for _ in wanted])
    return outcomes


def _made_before(group: _Group) -> dict[int, Made | Exception]:
    """What is known of the wishes whose keys are on record."""
    keys = {one.key: place for place, wanted in group.items() for one in wanted if one.key}
    if not keys:
        return {}
    outcomes: dict[int, Made | Exception] = {}
    for run in Run.objects.filter(idempotency_key__in=list(keys)):
        place = keys[run.idempotency_key or ""]
        same = run.fingerprint == group[place][0].fingerprint
        outcomes[place] = Made(runs=[run], new=False) if same else _reused(run)
    return outcomes


def _reused(run: Run) -> Problem:
    return Problem(
        409,
        "idempotency_key_reused",
        f"Idempotency-Key {run.idempotency_key!r} was used for another request, which made run"
        f" {run.pk}. Use a new key for a new request.",
    )
