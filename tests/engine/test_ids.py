"""Ids: derived ones repeat, created ones increase, and both sort by time."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from runs.engine import ids

MILLIS = st.integers(0, 2**48 - 1)
STEPS = st.integers(-1, 2**40)


@given(MILLIS, STEPS)
def test_a_checkpoint_id_repeats(millis: int, step: int) -> None:
    def made() -> str:
        return ids.checkpoint_id(run_id="r", millis=millis, namespace="", step=step)

    assert made() == made()
    assert uuid.UUID(made()).version == 7


@given(MILLIS, st.integers(0, 2**40), st.integers(0, 2**40))
def test_checkpoints_of_a_run_sort_by_step(millis: int, one: int, other: int) -> None:
    first, second = (
        ids.checkpoint_id(run_id="r", millis=millis, namespace="", step=step)
        for step in (one, other)
    )
    assert (first < second) == (one < other)


@given(MILLIS, st.integers(0, 2**32 - 1), st.integers(1, 2**20))
def test_a_checkpoint_is_later_than_those_an_earlier_version_wrote(
    millis: int, old_step: int, steps: int
) -> None:
    # Its layout: the step in 44 bits, then 30 bits of a hash.
    bits = (old_step << 30) | (2**30 - 1)
    low = (2 << 62) | (bits & (2**62 - 1))
    old = str(uuid.UUID(int=millis << 80 | 7 << 76 | (bits >> 62) << 64 | low))
    new = ids.checkpoint_id(
        run_id="r", millis=millis, namespace="", step=old_step + steps, parent=old
    )
    assert new > old


def test_graph_calls_of_one_run_do_not_share_checkpoint_ids() -> None:
    made = {
        ids.checkpoint_id(run_id="r", millis=1_000, namespace=f"n:{call}", step=step)
        for call in range(100_000)
        for step in (0, 1)
    }
    assert len(made) == 200_000


@given(st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_derived_ids_differ_when_their_parts_do(one: list[str], other: list[str]) -> None:
    assert (ids.derived(*one) == ids.derived(*other)) == (one == other)


def test_created_ids_increase_across_threads() -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: [ids.uuid7() for _ in range(500)], range(8)))
    for batch in made:
        assert batch == sorted(batch)
    assert len({one for batch in made for one in batch}) == 4000


def test_a_checkpoint_is_later_than_its_parent() -> None:
    at = {"run_id": "r", "namespace": ""}
    parent = ids.checkpoint_id(**at, millis=2_000, step=0)
    assert ids.checkpoint_id(**at, millis=1_000, step=1, parent=parent) > parent
    child = ids.checkpoint_id(**at, millis=3_000, step=1)
    assert ids.checkpoint_id(**at, millis=3_000, step=1, parent=parent) == child
