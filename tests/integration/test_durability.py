"""Durability on the database: a process that dies anywhere, in every mode, and how to ask for
one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pytest_django import Settings
from rest_framework.test import APIClient

from artifacts.store import store
from runs import workflows
from runs.engine import Command, serde
from runs.engine.ids import uuid7
from runs.engine.journal.durability import DURABILITIES, paced
from runs.engine.journal.ports import Lease, Superstep
from runs.journal import reading
from runs.journal.batch_rows import Collected
from runs.journal.entry import Ending, Entry
from runs.journal.journal import DurableJournal
from runs.lifecycle import transitions
from runs.models import Checkpoint, Event, Run
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from runs.operations.replay import replay_run
from runs.operations.resume import resume_run
from runs.scheduling import claims
from runs.worker.executor import Executor
from tests.contract.builders import checkpoint, superstep
from tests.engine.mortal import Killed
from tests.engine.recipes import PHASES, NodeRecipe, Recipe, recipes
from tests.engine.test_resume_parity import build

pytestmark = pytest.mark.django_db(transaction=True)

KINDS = ("plain", "emit", "ask", "step", "sub", "fan", "goto")
#: What says which attempt it was.
MARKS = ("created", "started", "recovered", "resumed")


class MortalJournal(DurableJournal):
    """Lets its process die at entry number `dies_at`, with all that it has not written yet."""

    def __init__(self, dies_at: int | None = None) -> None:
        super().__init__(store().attach)
        self.entries = 0
        put = self._writer.put

        def mortal(entry: Entry) -> None:
            if self.dead:
                raise Killed
            self.entries += 1
            if self.entries == dies_at:
                self._writer._queue.clear()
                raise Killed
            put(entry)

        self._writer.put = mortal  # type: ignore[method-assign]
        self._dies_at = dies_at

    @property
    def dead(self) -> bool:
        return self._dies_at is not None and self.entries >= self._dies_at


def claim() -> list[claims.Claimed]:
    try:
        return claims.claim(uuid7(), 1)
    finally:
        connections.close_all()


async def execute(journal: MortalJournal) -> None:
    claimed = (await asyncio.to_thread(claim))[0]
    with ThreadPoolExecutor(2) as threads:
        executor = Executor(journal=journal, artifacts=store(), threads=threads)
        try:
            await executor.execute(claimed)
        except Killed:
            pass
        finally:
            await asyncio.to_thread(journal.close)


def live(recipe: Recipe, durability: str, dies_at: int | None = None) -> tuple[Run, int]:
    """A run of the recipe to its end, and how many entries its first process wrote."""
    workflows.unregister("under_test")
    workflows.register("under_test", build(recipe))
    run = create_run(NewRun(workflow="under_test", payload={"log": ["in"]}, durability=durability))
    journal = MortalJournal(dies_at)
    asyncio.run(execute(journal))
    for _ in range(200):
        run.refresh_from_db()
        if run.finished:
            return run, journal.entries
        if run.status == "interrupted":
            _answer(run)
        else:  # its worker died
            Run.objects.filter(id=run.id).update(status="pending", lease_owner=None)
        asyncio.run(execute(MortalJournal()))
    raise AssertionError("it never ends")


def _answer(run: Run) -> None:
    (event,) = Event.objects.filter(run=run, name="interrupted").order_by("-seq")[:1]
    answers = {one["id"]: f"!{one['value']}" for one in event.decoded["interrupts"]}
    resume_run(run.id, Command(resume=answers))


def story(run: Run) -> Any:
    """State, checkpoints and log; ids by what they stand for, tasks in any order."""
    events = Event.objects.filter(run=run).order_by("seq")
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert run.checkpoint_id is not None
    graph = workflows.get(run.workflow).graph.graph
    state = reading.read_state(graph, run.thread_id, run.checkpoint_id)
    assert state is not None
    stated: dict[tuple[str, str, int | None], list[str]] = {}
    for event in events:
        if event.name not in MARKS:
            where = (event.namespace.partition(":")[0], event.node, event.step)
            stated.setdefault(where, []).append(event.name + _plain(event.data))
    kept = Checkpoint.objects.filter(run=run, namespace="").values_list("step", "frontier")
    last = sorted(said for where in stated for said in stated[where])
    return run.status, serde.plain(state.values), sorted(kept), last


def _plain(data: str) -> str:
    """Without ids, which a run derives from its own."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            kept = {k: v for k, v in value.items() if not k.endswith("id") and k != "namespace"}
            return {k: plain(v) for k, v in kept.items() if k not in ("sha256", "size")}
        return [plain(one) for one in value] if isinstance(value, list) else value

    return json.dumps(plain(json.loads(data))) if data else ""


@pytest.fixture(autouse=True)
def registry(settings: Settings) -> Iterator[None]:
    settings.FASTGRAPH = {
        **settings.FASTGRAPH,
        "step_limit": 20,
    }  # some of the random graphs would go round for ever
    with workflows.temporary():
        yield


@given(recipes(KINDS), st.floats(0, 1), st.sampled_from(DURABILITIES))
@examples(
    max_examples=15,
    deadline=None,
    phases=PHASES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_a_killed_run_ends_as_one_that_was_not(
    recipe: Recipe, share: float, durability: str
) -> None:
    plain, _ = live(recipe, "sync")
    whole, entries = live(recipe, durability)
    assert story(whole) == story(plain)
    killed, _ = live(recipe, durability, 1 + int(share * (entries - 1)))
    assert story(killed) == story(plain)


@pytest.mark.parametrize("durability", DURABILITIES)
def test_every_single_entry(durability: str) -> None:
    recipe = Recipe(
        nodes=tuple(NodeRecipe(k, 2, False, False) for k in ("plain", "step", "emit", "ask")),
        edges=frozenset({(-1, 0), (0, 1), (0, 2), (1, 3), (2, 3)}),
        joins=((frozenset({1, 2}), 3),),
        routers=(),
    )
    plain, _ = live(recipe, "sync")
    _, entries = live(recipe, durability)
    for dies_at in range(1, entries + 1):
        killed, _ = live(recipe, durability, dies_at)
        assert story(killed) == story(plain), f"killed at entry {dies_at}"


async def test_what_a_cancelled_exit_run_did_is_kept(work: Callable[[], None]) -> None:
    """What it was ahead with is kept; whoever stops it then ends it."""

    def begin() -> Lease:
        try:
            run = create_run(NewRun(workflow="steps", payload={"steps": 3}, durability="exit"))
            (claimed,) = claims.claim(uuid7(), 1)
            now = timezone.now()
            Run.objects.filter(id=run.id).update(cancel_requested_at=now, cancel_by="ann")
            return claimed.lease
        finally:
            connections.close_all()

    def found(run_id: str) -> tuple[str, int, list[str]]:
        try:
            run = Run.objects.get(id=run_id)
            names = Event.objects.filter(run=run).order_by("seq").values_list("name", flat=True)
            return run.status, Checkpoint.objects.filter(run=run).count(), list(names)
        finally:
            connections.close_all()

    lease = await asyncio.to_thread(begin)
    journal = DurableJournal(store().attach)
    keeping = paced(journal, "exit", lease)
    made = None
    for step in range(3):
        made = checkpoint(lease, step, parent=made)
        await keeping.commit(lease, superstep(made))
    await keeping.settle(lease)
    await journal.end(lease, Ending(transition=transitions.STOP, at=timezone.now()))
    await asyncio.to_thread(journal.close)
    status, kept, names = await asyncio.to_thread(found, lease.run_id)
    assert (status, kept) == ("cancelled", 3)
    assert names == ["created", "started", *["checkpoint"] * 3, "cancelled"]


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("told", ["hello", "fail"])
def test_a_step_that_cannot_be_stored_fails_the_run(
    trail: str,
    work: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    durability: str,
    told: str,
) -> None:
    """And nothing that came after it is kept, in whatever order it became known."""
    stepped = Collected.stepped

    def broken(self: Collected, run: Any, superstep: Superstep) -> None:
        if superstep.checkpoint.step == 1:
            raise ValueError("too much")
        stepped(self, run, superstep)

    monkeypatch.setattr(Collected, "stepped", broken)
    run = create_run(NewRun(workflow=trail, payload={"input": told}, durability=durability))
    work()
    run.refresh_from_db()
    assert (run.status, run.attempt) == ("failed", 1)
    assert "too much" in run.error["message"] or told == "fail"
    kept = Checkpoint.objects.filter(run=run).values_list("step", flat=True)
    assert set(kept) <= {0}
    seqs = Event.objects.filter(run=run).order_by("seq").values_list("seq", flat=True)
    assert list(seqs) == list(range(1, len(seqs) + 1))


@pytest.mark.parametrize("durability", DURABILITIES)
def test_it_is_an_option_of_a_new_run(
    api: APIClient, trail: str, work: Callable[[], None], durability: str
) -> None:
    body = {"workflow": trail, "payload": {"input": "x"}, "durability": durability}
    run = api.post("/api/runs/", body).json()
    assert run["durability"] == durability
    work()
    run = api.get(f"/api/runs/{run['id']}").json()
    assert (run["status"], run["durability"]) == ("completed", durability)
    assert len(api.get(f"/api/runs/{run['id']}/checkpoints").json()["results"]) == 4
    assert replay_run(run["id"]).durability == durability


@pytest.mark.parametrize("value", ["later", "SYNC", "", None, 1, True, ["sync"], {}], ids=repr)
def test_an_unknown_durability_is_refused(api: APIClient, trail: str, value: Any) -> None:
    body = {"workflow": trail, "payload": {"input": "x"}, "durability": value}
    answer = api.post("/api/runs/", body)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["at"] == "/durability" and "'sync', 'async', 'exit'" in error["detail"]
    assert not Run.objects.exists()


def test_it_is_an_option_of_run_workflow(trail: str) -> None:
    payload = '{"input": "x"}'
    call_command(
        "run_workflow", trail, "--payload", payload, "--durability", "exit", stdout=StringIO()
    )
    assert Run.objects.get().durability == "exit"


def test_without_it_a_run_is_sync(api: APIClient, trail: str) -> None:
    body: dict[str, Any] = {"workflow": trail, "payload": {"input": "x"}}
    found: Sequence[Any] = [api.post("/api/runs/", body).json()["durability"]]
    assert found == ["sync"]
