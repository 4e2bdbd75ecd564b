"""Forks of a checkpoint, as both kinds of run make them: in this process and on the server."""

from __future__ import annotations

from datetime import UTC, datetime

from runs.engine import ids
from runs.engine.checkpoint import Checkpoint, Frontier

CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)
CREATED_MS = int(CREATED_AT.timestamp() * 1000)


def checkpoint(*, origin: str | None = None) -> Checkpoint:
    return Checkpoint(
        checkpoint_id="parent",
        thread_id="thread",
        run_id="first",
        namespace="",
        parent_id="grandparent",
        step=3,
        source="loop",
        versions={"log": "old", "n": "old"},
        frontier=Frontier(nodes=("ask",), origin=origin),
        created_at=datetime(2025, 1, 1, tzinfo=UTC),
    )


def fork(parent: Checkpoint, *, run_id: str = "second") -> Checkpoint:
    return parent.fork(run_id=run_id, created_ms=CREATED_MS, now=CREATED_AT)


def test_fork_belongs_to_its_run_and_runs_the_same_tasks_next() -> None:
    forked = fork(checkpoint())
    assert (forked.run_id, forked.thread_id, forked.source) == ("second", "thread", "fork")
    assert (forked.parent_id, forked.step) == ("parent", 3)
    assert forked.frontier.next_nodes == ["ask"]
    assert forked.created_at == CREATED_AT
    assert ids.millis(forked.checkpoint_id) == CREATED_MS


def test_fork_names_the_checkpoint_that_it_is_a_copy_of() -> None:
    assert fork(checkpoint()).frontier.origin == "parent"


def test_fork_of_a_fork_keeps_the_origin_of_the_first() -> None:
    again = fork(fork(checkpoint()), run_id="third")
    assert again.frontier.origin == "parent"
