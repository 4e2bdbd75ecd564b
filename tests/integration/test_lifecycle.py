"""The table of transitions, and what applies one of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db.models import Q
from django.utils import timezone
from django_q.models import OrmQ

from runs.engine import events
from runs.engine.events import KINDS, Event
from runs.engine.ids import uuid7
from runs.journal.entry import Ending
from runs.lifecycle import notification, transitions
from runs.lifecycle.transitions import CANCEL, LOSE, RESUME, STOP, TABLE, Transition
from runs.models import TERMINAL, PendingReason, Run, RunStatus
from runs.models import Event as EventRow
from runs.notify import changes
from runs.scheduling import claims
from tests.integration.chain import Start, add, names

pytestmark = pytest.mark.django_db

NOW = timezone.now()
CANCELLED = Event(name=events.CANCELLED, ts=NOW)


@pytest.fixture
def run(start: Start) -> Run:
    run = start(add)
    OrmQ.objects.all().delete()
    return run


@pytest.fixture
def notified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The channels that are notified, in order."""
    found: list[str] = []

    def notify_watchers(*, ended: bool = True) -> None:
        found.append(changes.WATCHERS)

    monkeypatch.setattr(changes, "notify_changes", notify_watchers)
    monkeypatch.setattr(changes, "notify_workers", lambda: found.append(changes.WORKERS))
    return found


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_row_of_the_table_agrees_with_the_vocabulary_of_events(row: Transition) -> None:
    by_name = {kind.name: kind for kind in KINDS}
    if row.event is not None:
        assert by_name[row.event].status == row.target
        assert by_name[row.event].terminal == row.is_terminal
    assert (row.reason is not None) == (row.target == RunStatus.PENDING)
    assert row.releases_lease == (row.target != RunStatus.RUNNING)
    assert not row.sources & {*TERMINAL}
    assert not (row.makes_work and row.target != RunStatus.PENDING)


def test_names_of_the_table_are_unique() -> None:
    assert len({row.name for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize(
    ("reason", "attempt", "event"),
    [
        ("created", 0, "started"),
        ("answered", 1, "resumed"),
        ("woken", 1, "resumed"),
        ("paused", 1, "resumed"),
        ("proven", 3, "resumed"),
        ("stopped", 1, "recovered"),
        ("lost", 1, "recovered"),
        ("", 0, "started"),
        ("of another version", 2, "recovered"),
    ],
)
def test_claim_follows_from_the_reason(reason: str, attempt: int, event: str) -> None:
    assert transitions.claim_of(reason, attempt).event == event


def test_every_reason_has_its_claim() -> None:
    assert transitions._CLAIMS.keys() == {*PendingReason}


def test_apply_changes_the_row_the_object_and_the_log(run: Run, notified: list[str]) -> None:
    assert transitions.apply(run, CANCEL, now=NOW, event=CANCELLED)
    row = Run.objects.get(pk=run.pk)
    assert (row.status, row.pending_reason, row.finished_at, row.seq) == ("cancelled", "", NOW, 2)
    assert (run.status, run.pending_reason, run.finished_at, run.seq) == ("cancelled", "", NOW, 2)
    assert names(run) == ["created", "cancelled"]
    assert notified == [changes.WATCHERS]


@pytest.mark.parametrize(
    "change", [{"seq": 7}, {"attempt": 1}, {"status": "running"}, {"status": "completed"}]
)
def test_apply_changes_nothing_if_somebody_was_first(
    run: Run, notified: list[str], change: dict[str, Any]
) -> None:
    Run.objects.filter(pk=run.pk).update(**change)
    assert not transitions.apply(run, CANCEL, now=NOW, event=CANCELLED)
    assert Run.objects.get(pk=run.pk).finished_at is None
    assert (run.status, run.seq, notified) == ("pending", 1, [])
    assert EventRow.objects.filter(run=run).count() == 1


def test_apply_changes_nothing_if_the_guard_is_not_met(run: Run) -> None:
    guard = Q(priority__gt=0)
    assert not transitions.apply(run, CANCEL, now=NOW, event=CANCELLED, guard=guard)


def test_apply_changes_nothing_from_a_status_that_is_no_source(run: Run) -> None:
    assert not transitions.apply(run, RESUME, now=NOW)


@pytest.mark.parametrize("event", [None, Event(name=events.FAILED, ts=NOW)])
def test_apply_refuses_an_event_that_is_not_the_transitions(run: Run, event: Event | None) -> None:
    with pytest.raises(ValueError, match="cancelled"):
        transitions.apply(run, CANCEL, now=NOW, event=event)


def test_resume_notifies_watchers_and_workers_and_queues_a_wakeup(
    run: Run, notified: list[str]
) -> None:
    Run.objects.filter(pk=run.pk).update(status="interrupted", pending_reason="")
    run.refresh_from_db()
    assert transitions.apply(run, RESUME, now=NOW)
    assert run.pending_reason == "answered"
    assert notified == [changes.WATCHERS, changes.WORKERS]
    assert OrmQ.objects.count() == 1


@pytest.mark.parametrize(("transition", "jobs"), [(STOP, 1), (LOSE, 0)])
def test_runs_that_are_put_back_are_told_to_watchers_and_a_stop_wakes_a_worker(
    run: Run, notified: list[str], transition: Transition, jobs: int
) -> None:
    claims.claim(uuid7(), 1)
    notified.clear()
    assert transitions.apply_to_all([run.pk], transition, now=NOW) == 1
    assert transitions.apply_to_all([run.pk], transition, now=NOW) == 0, "it is pending already"
    assert notified == [changes.WATCHERS, changes.WORKERS][: 1 + jobs]
    assert OrmQ.objects.count() == jobs
    run.refresh_from_db()
    assert (run.status, run.pending_reason) == ("pending", transition.reason)
    assert (run.lease_owner, run.lease_expires_at) == (None, None)


def test_apply_to_all_refuses_a_transition_with_an_event_of_its_own(run: Run) -> None:
    with pytest.raises(ValueError, match="event for each"):
        transitions.apply_to_all([run.pk], CANCEL, now=NOW)


@pytest.mark.parametrize("column", ["status", "seq", "lease_owner", "pending_reason"])
def test_record_refuses_a_column_of_the_life_of_a_run(run: Run, column: str) -> None:
    with pytest.raises(ValueError, match=column):
        transitions.record(run, column, now=NOW)


@pytest.mark.parametrize("transition", [RESUME, transitions.WAKE, transitions.START])
def test_an_attempt_does_not_end_with_a_transition_of_a_run_that_is_not_running(
    transition: Transition,
) -> None:
    with pytest.raises(ValueError, match=transition.name):
        Ending(transition=transition, at=NOW)


def test_batch_notifies_workers_only_of_work(notified: list[str]) -> None:
    notification.notify(ended=True)
    notification.notify(ended=False, makes_work=True)
    assert notified == [changes.WATCHERS, changes.WATCHERS, changes.WORKERS]


migration = import_module("runs.migrations.0014_pending_reason")
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("columns", "last", "reason"),
    [
        ({}, "created", "created"),
        ({"attempt": 1}, "started", "stopped"),
        ({"attempt": 1, "crashes": 1}, "started", "lost"),
        ({"attempt": 1, "wake_at": NOW}, "interrupted", "answered"),
        ({"attempt": 1, "wake_at": NOW - HOUR}, "sleeping", "woken"),
        ({"attempt": 1, "wake_at": NOW}, "paused", "paused"),
        ({"attempt": 3, "wake_at": NOW}, "checkpoint", "proven"),
        ({"attempt": 1, "status": "sleeping", "wake_at": NOW + HOUR}, "sleeping", ""),
    ],
)
def test_the_migration_gives_each_unfinished_run_its_reason(
    run: Run, columns: dict[str, Any], last: str, reason: str
) -> None:
    Run.objects.filter(pk=run.pk).update(pending_reason="", seq=2, **columns)
    EventRow.objects.create(run=run, seq=2, name=last, ts=NOW)
    migration.fill(apps, None)
    run.refresh_from_db()
    assert run.pending_reason == reason
    assert (run.wake_at is None) == (run.status == "pending")
    if columns.get("wake_at") and run.status == "pending":
        migration.empty(apps, None)
        run.refresh_from_db()
        assert run.wake_at is not None, "as the version before has it"


def test_a_claim_takes_the_reason_away(run: Run, claim: Callable[[], None]) -> None:
    claim()
    run.refresh_from_db()
    assert (run.status, run.pending_reason) == ("running", "")


@pytest.fixture
def claim() -> Callable[[], None]:
    def one() -> None:
        assert len(claims.claim(uuid7(), 1)) == 1

    return one
