"""A node that emits faster than the database takes it: it waits, memory is bounded, nothing is
lost."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypedDict

import pytest
from django.utils import timezone
from pytest_django import Settings

from runs import workflows
from runs.engine import END, START, Context, StateGraph, SyncContext
from runs.engine.events import Event
from runs.engine.execution.task.task_call import UNSEEN
from runs.engine.ids import uuid7
from runs.engine.journal.durability import Durability
from runs.engine.journal.ports import Lease
from runs.journal import commit, writer
from runs.journal.batch_rows import Attach
from runs.journal.entry import Entry
from runs.journal.journal import DurableJournal
from runs.journal.writer import HELD_UP, Writer
from runs.models import Event as EventRow
from runs.models import RunStatus
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from tests.support.worker import run_pending

pytestmark = pytest.mark.django_db(transaction=True)

LIMIT = 200_000  # bytes that may wait
EVENTS, SIZE = 600, 5_000
STEPS, BIG = 100, 20_000
SLACK = 2 * (SIZE + 1000)  # the event that goes over the limit, and the engine's own beside it

Node = Callable[..., Any]


class State(TypedDict, total=False):
    n: int


class Slow:
    """The writer, each commit of which takes its time; and the most that ever waited for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.most = 0
        self.seconds = 0.02
        self.commits = 0
        self.open = threading.Event()
        write, put = commit.write, Writer.put

        def slowly(entries: Sequence[Entry], attach: Attach) -> Any:
            self.open.wait(self.seconds)
            self.commits += 1
            return write(entries, attach)

        def watched(own: Writer, entry: Entry) -> None:
            put(own, entry)
            self.most = max(self.most, own._bytes)

        monkeypatch.setattr(commit, "write", slowly)
        monkeypatch.setattr(Writer, "put", watched)
        # Small batches: a commit that took everything would leave nothing to wait for.
        monkeypatch.setattr(writer, "BATCH", 20)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[Slow]:
    small = {"journal_queue_bytes": LIMIT, "linger_seconds": 0.02}
    settings.FASTGRAPH = {**settings.FASTGRAPH, **small}
    with workflows.temporary():
        yield Slow(monkeypatch)


def execute(node: Node, durability: Durability = "sync", **options: Any) -> list[EventRow]:
    """The custom events of a run of this node, which completes."""
    workflows.register(
        "emits", StateGraph(State).add_node("n", node, **options).add_edge(START, "n").compile()
    )
    run = create_run(NewRun(workflow="emits", durability=durability))
    run_pending()
    run.refresh_from_db()
    assert run.status == RunStatus.COMPLETED, run.error
    assert list(run.events.order_by("seq").values_list("seq", flat=True)) == list(
        range(1, run.seq + 1)
    )
    return list(run.events.filter(name="custom").order_by("seq"))


def told(number: int) -> dict[str, Any]:
    return {"i": number, "text": "x" * SIZE}


async def waits_for_each(state: State, ctx: Context) -> None:
    for number in range(EVENTS):
        await ctx.emit(told(number))


async def sleeps_between(state: State, ctx: Context) -> None:
    for number in range(EVENTS):
        ctx.emit(told(number))
        await ctx.sleep(0)


def in_a_thread(state: State, ctx: SyncContext) -> None:
    for number in range(EVENTS):
        ctx.emit(told(number))


async def never_waits(state: State, ctx: Context) -> None:
    for number in range(EVENTS):
        ctx.emit(told(number))


@pytest.mark.parametrize(
    ("node", "most"),
    [
        (waits_for_each, LIMIT + SLACK),
        (sleeps_between, LIMIT + SLACK),
        (in_a_thread, LIMIT + 2 * UNSEEN),
        (never_waits, HELD_UP * LIMIT + SLACK),
    ],
)
def test_all_that_is_emitted_arrives_and_little_of_it_waits(
    slow: Slow, node: Node, most: int
) -> None:
    events = execute(node)
    assert [json.loads(event.data)["i"] for event in events] == list(range(EVENTS))
    assert slow.most <= most


@pytest.mark.parametrize("durability", ["async", "exit"])
@pytest.mark.parametrize(
    ("node", "most"),
    [(waits_for_each, LIMIT + SLACK), (in_a_thread, LIMIT + 2 * UNSEEN)],
)
def test_a_run_that_does_not_wait_for_its_steps_waits_for_room(
    slow: Slow, node: Node, most: int, durability: Durability
) -> None:
    events = execute(node, durability)
    assert [json.loads(event.data)["i"] for event in events] == list(range(EVENTS))
    assert slow.most <= most


class Grows(TypedDict, total=False):
    n: int
    text: str


def test_supersteps_that_nobody_waits_for_wait_for_room(slow: Slow) -> None:
    async def grow(state: Grows) -> Grows:
        return {"n": state.get("n", 0) + 1, "text": "x" * BIG}

    def again(state: Grows) -> str:
        return "grow" if state["n"] < STEPS else END

    graph = StateGraph(Grows).add_node("grow", grow).add_edge(START, "grow")
    workflows.register("grows", graph.add_conditional_edges("grow", again).compile())
    run = create_run(NewRun(workflow="grows", durability="async"))
    run_pending()
    run.refresh_from_db()
    assert run.status == RunStatus.COMPLETED, run.error
    # A superstep has the value, and the event that tells of it before.
    assert slow.most <= LIMIT + 4 * BIG


def test_an_atomic_node_never_waits_for_room(slow: Slow) -> None:
    """The journal would wait for the database that the transaction holds."""

    def node(state: State, ctx: SyncContext) -> None:
        in_a_thread(state, ctx)

    events = execute(node, atomic=True)
    assert len(events) == EVENTS


def test_nobody_waits_for_a_commit_while_there_is_room(slow: Slow) -> None:
    commits: list[int] = []

    async def node(state: State, ctx: Context) -> None:
        slow.seconds = 20.0
        commits.append(slow.commits)
        for number in range(10):
            await ctx.emit(number)
        commits.append(slow.commits)
        slow.open.set()

    assert len(execute(node)) == 10
    before, after = commits
    assert after <= before + 1  # one was under way


async def test_who_waits_for_room_goes_on_when_the_journal_is_closed(slow: Slow) -> None:
    journal = DurableJournal(lambda ref: None, queue_bytes=10)
    lease = Lease(run_id=str(uuid7()), thread_id=str(uuid7()))
    journal.append(lease, [Event(name="custom", ts=timezone.now(), data=b"1")])
    waiting = asyncio.create_task(journal.room())
    async with asyncio.timeout(90):
        await asyncio.to_thread(journal.close)
        await waiting
