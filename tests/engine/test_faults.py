"""A fault point is addressed by the run and the step that come to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runs.engine import faults


@pytest.fixture
def reached() -> Iterator[list[str]]:
    """Collects what the armed actions add; nothing is armed before and after."""
    faults.disarm()
    yield []
    faults.disarm()


def test_it_acts_at_the_step_of_the_run_that_was_named(reached: list[str]) -> None:
    faults.arm("after_commit", lambda: reached.append("here"), run_id="a", step=2)
    for place in [("a", 1), ("b", 2), ("a", None), ("a", 2)]:
        assert not reached
        faults.point("after_commit", *place)
    assert reached == ["here"]


def test_a_batch_acts_once_if_one_of_its_places_is_named(reached: list[str]) -> None:
    faults.arm("after_hint", lambda: reached.append("here"), step=None)
    faults.points("after_hint", [("a", 1), ("b", 2)])
    assert not reached
    faults.points("after_hint", [("a", 1), ("a", None), ("b", None)])
    assert reached == ["here"]


def test_without_a_run_and_a_step_it_acts_everywhere(reached: list[str]) -> None:
    faults.arm("after_hint", lambda: reached.append("here"))
    faults.points("after_hint", [])  # a batch that ends no step
    faults.point("after_hint", "a", 7)
    faults.point("after_claim", "a")  # another point
    assert reached == ["here", "here"]


def test_who_watches_sees_every_place(reached: list[str]) -> None:
    faults.watch(lambda name, place: reached.append(f"{name} {place}"))
    faults.points("after_hint", [("a", 1), ("a", None)])
    faults.point("after_claim", "b")
    assert reached == ["after_hint ('a', 1)", "after_hint ('a', None)", "after_claim ('b', None)"]


def test_an_unknown_point_is_refused(reached: list[str]) -> None:
    with pytest.raises(ValueError, match="no fault point 'nowhere'"):
        faults.arm("nowhere", reached.clear)
