"""What a state costs to keep: it grows with what changes, and not with state times steps."""

from __future__ import annotations

from bench.engine import peak_memory, storage


async def test_small_additions_to_a_big_list_are_stored_as_they_are() -> None:
    stored, read = await storage()
    assert stored <= 3_000_000
    assert read <= 2_500_000


async def test_a_long_thread_is_read_in_at_most_twice_its_state() -> None:
    for steps in (100, 400, 1_000):
        _, read = await storage(steps=steps, size=100_000, more=1_000)
        state = 100_000 + steps * 1_000
        assert read <= 2.1 * state, steps


async def test_the_engine_itself_needs_no_more_memory_for_more_steps() -> None:
    short, long = await peak_memory(200), await peak_memory(2_000)
    assert long <= 1.2 * short
