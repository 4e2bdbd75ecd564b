"""The account of a storm finds what is lost, doubled or different: each was put there by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from pytest_django import Settings

from fastgraph_site.chaos.account import Account, Blow, draw_up, unfinished
from runs.engine.ids import uuid7
from runs.models import Checkpoint, Event, Run
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from tests.support.worker import run_pending

pytestmark = pytest.mark.django_db(transaction=True)

Accounted = Callable[[], Account]


@pytest.fixture
def runs(settings: Settings) -> list[UUID]:
    """Three runs of one order that have ended; the first is the one to compare with."""
    settings.FASTGRAPH = {**settings.FASTGRAPH, "linger_seconds": 0.02}
    order = NewRun(workflow="ledger", payload={"transfers": 2})
    made = [create_run(order).id for _ in range(3)]
    run_pending()
    return made


@pytest.fixture
def account(runs: list[UUID]) -> Accounted:
    def drawn() -> Account:
        hit = Event.objects.get(run=runs[1], seq=2)
        blows = [Blow(kind="kill", at=hit.ts - timedelta(seconds=3), hit=[runs[1]])]
        return draw_up(dict.fromkeys(runs[1:], 0), {0: runs[0]}, blows)

    return drawn


def test_a_sound_one(runs: list[UUID], account: Accounted) -> None:
    found = account()
    assert found.sound
    assert (found.created, found.finished, found.attempts) == (2, 2, 1)
    assert unfinished(runs) == 0
    assert found.slowest is not None and found.slowest.run_id == runs[1]
    assert 0 < found.slowest.seconds <= 3


def test_a_run_that_has_not_ended_is_lost(runs: list[UUID], account: Accounted) -> None:
    Run.objects.filter(id=runs[1]).update(status="pending")
    assert (account().lost, account().sound, unfinished(runs)) == ([runs[1]], False, 1)


def test_a_run_that_is_not_there_is_lost(runs: list[UUID], account: Accounted) -> None:
    drawn = draw_up({uuid7(): 0}, {0: runs[0]}, [])
    assert (len(drawn.lost), drawn.sound) == (1, False)


def test_a_run_that_failed_is_told(runs: list[UUID], account: Accounted) -> None:
    Run.objects.filter(id=runs[2]).update(status="failed")
    assert (account().not_completed, account().sound) == ([runs[2]], False)


@pytest.mark.parametrize("hits", [1, 2])
def test_a_run_that_crashed_too_often_is_no_fault_if_it_was_hit(
    runs: list[UUID], hits: int
) -> None:
    error = {"type": "CrashedTooOften", "message": "", "node": None}
    Run.objects.filter(id=runs[1]).update(status="failed", crashes=3, error=error)
    ended = Event.objects.filter(run=runs[1]).latest("seq")
    blows = [Blow(kind="kill", at=ended.ts, hit=[runs[1]])] * hits
    drawn = draw_up({runs[1]: 0}, {0: runs[0]}, blows)
    assert (drawn.given_up, drawn.not_completed) == (
        ([runs[1]], []) if hits == 2 else ([], [runs[1]])
    )
    assert drawn.sound == (hits == 2)


@pytest.mark.parametrize("name", ["node_update", "checkpoint", "completed"])
def test_a_step_that_is_twice_in_the_log(runs: list[UUID], account: Accounted, name: str) -> None:
    event = Event.objects.filter(run=runs[1], name=name).latest("seq")
    last = Event.objects.filter(run=runs[1]).latest("seq")
    event.pk, event.seq = None, last.seq + 1
    event.save(force_insert=True)
    Run.objects.filter(id=runs[1]).update(seq=last.seq + 1)
    found = account()
    assert len(found.doubled) == 1 and str(runs[1]) in found.doubled[0]
    assert (found.holes, found.sound) == ([], False)


def test_a_superstep_with_two_checkpoints(runs: list[UUID], account: Accounted) -> None:
    checkpoint = Checkpoint.objects.filter(run=runs[1]).latest("id")
    checkpoint.pk = uuid7()
    checkpoint.save(force_insert=True)
    assert len(account().doubled) == 1


def test_a_log_with_a_hole(runs: list[UUID], account: Accounted) -> None:
    Event.objects.filter(run=runs[2], seq=4).delete()
    assert account().holes == [runs[2]]


def test_another_result(runs: list[UUID], account: Accounted) -> None:
    from artifacts.models import Artifact

    Artifact.objects.filter(run=runs[1], name="result.json").update(sha256="0" * 64)
    assert (account().different, account().sound) == ([runs[1]], False)
