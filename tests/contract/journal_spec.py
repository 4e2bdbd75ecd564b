"""What every journal promises, as functions of a world. `test_journal.py` runs all of them on
every journal there is; `test_broken_journals.py` shows that each kind of fault is found."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from runs.engine import serde
from runs.engine.checkpoint import Checkpoint, Frontier, Note, Sent, TaskWrites, Write
from runs.engine.errors import Fenced
from runs.engine.ports import Lease
from tests.contract.builders import (
    checkpoint,
    custom,
    delta,
    full,
    note,
    superstep,
    task_id,
)
from tests.contract.worlds import World

SPEC: list[Callable[[World], Awaitable[None]]] = []


def promise(function: Callable[[World], Awaitable[None]]) -> Callable[[World], Awaitable[None]]:
    SPEC.append(function)
    return function


async def commit(world: World, lease: Lease, made: Checkpoint, *changes: Any) -> Checkpoint:
    await world.journal.commit(lease, superstep(made, changes))
    return made


async def names(world: World, lease: Lease) -> list[Any]:
    return [event["data"] for event in await world.journal.events(lease.run_id)]


@promise
async def an_unknown_thread_has_nothing(world: World) -> None:
    lease = await world.run()
    assert await world.journal.load(lease.thread_id) is None
    assert list(await world.journal.history(lease.thread_id)) == []
    assert list(await world.journal.events(lease.run_id)) == []


@promise
async def a_checkpoint_comes_back_as_it_was(world: World) -> None:
    lease = await world.run()
    frontier = Frontier(
        nodes=("a", "b"),
        sends=(Sent.of("c", {"x": (1, 2)}), Sent.of("c", None)),
        arrived={"a+b:d": ("a",)},
        deferred=("z",),
        stop=True,
    )
    first = await commit(world, lease, checkpoint(lease, frontier=frontier, source="input"))
    version = first.checkpoint_id
    made = checkpoint(lease, 1, parent=first, versions={"x": version}, frontier=frontier)
    await commit(world, lease, made, full("x", version, [1, "two", None]))
    saved = await world.journal.load(lease.thread_id)
    assert saved is not None
    assert saved.checkpoint == made
    assert list(saved.chains["x"]) == [full("x", version, [1, "two", None])]


@promise
async def an_older_checkpoint_can_be_loaded(world: World) -> None:
    lease = await world.run()
    first = await commit(world, lease, checkpoint(lease))
    second = await commit(world, lease, checkpoint(lease, 1, parent=first))
    newest = await world.journal.load(lease.thread_id)
    older = await world.journal.load(lease.thread_id, checkpoint_id=first.checkpoint_id)
    assert newest is not None and newest.checkpoint == second
    assert older is not None and older.checkpoint == first


@promise
async def namespaces_are_apart(world: World) -> None:
    lease = await world.run()
    root = await commit(world, lease, checkpoint(lease, 5))
    inner = checkpoint(lease, 0, namespace="n:1")
    version = inner.checkpoint_id
    inner = checkpoint(lease, 0, namespace="n:1", versions={"x": version})
    await commit(world, lease, inner, full("x", version, "inner"))
    for namespace, expected in (("", root), ("n:1", inner)):
        saved = await world.journal.load(lease.thread_id, namespace=namespace)
        assert saved is not None and saved.checkpoint == expected
        assert list(await world.journal.history(lease.thread_id, namespace=namespace)) == [expected]
    assert await world.journal.load(lease.thread_id, namespace="n") is None


@promise
async def the_newest_of_a_namespace_is_the_last_that_was_written(world: World) -> None:
    lease = await world.run()
    inner = None
    for step in range(3):
        inner = await commit(
            world, lease, checkpoint(lease, step, parent=inner, namespace="n:1|m:2")
        )
    saved = await world.journal.load(lease.thread_id, namespace="n:1|m:2")
    assert saved is not None and saved.checkpoint == inner


@promise
async def history_is_newest_first_and_can_be_cut(world: World) -> None:
    lease = await world.run()
    made: list[Checkpoint] = []
    for step in range(4):
        parent = made[-1] if made else None
        made.append(await commit(world, lease, checkpoint(lease, step, parent=parent)))
    assert list(await world.journal.history(lease.thread_id)) == made[::-1]
    assert list(await world.journal.history(lease.thread_id, limit=2)) == made[:1:-1]


@promise
async def deltas_come_back_from_their_full_value_on(world: World) -> None:
    lease = await world.run()
    chain: list[Any] = []
    before = None
    for step in range(4):
        made = checkpoint(lease, step, parent=before)
        version = made.checkpoint_id
        change = delta("x", version, [[step]], after=chain[-1]) if chain else full("x", version, [])
        chain.append(change)
        before = await commit(
            world, lease, checkpoint(lease, step, parent=before, versions={"x": version}), change
        )
    saved = await world.journal.load(lease.thread_id)
    assert saved is not None and list(saved.chains["x"]) == chain


@promise
async def branches_from_one_full_value_keep_apart(world: World) -> None:
    one = await world.run()
    other = await world.run(one.thread_id)
    base = checkpoint(one).checkpoint_id
    root = await commit(world, one, checkpoint(one, versions={"x": base}), full("x", base, ["b"]))
    tips = []
    for lease, value in ((one, "one"), (other, "other"), (one, "again")):
        step = 1 if value != "again" else 2
        version = checkpoint(lease, step).checkpoint_id
        change = delta("x", version, [[value]], after=full("x", base, ["b"]))
        made = checkpoint(lease, step, parent=root, versions={"x": version})
        await commit(world, lease, made, change)
        tips.append((made, change))
    for made, change in tips:
        saved = await world.journal.load(one.thread_id, checkpoint_id=made.checkpoint_id)
        assert saved is not None
        assert list(saved.chains["x"]) == [full("x", base, ["b"]), change]


@promise
async def untouched_channels_are_loaded_from_where_they_were_written(world: World) -> None:
    lease = await world.run()
    version = checkpoint(lease).checkpoint_id
    first = checkpoint(lease, versions={"x": version, "y": version})
    await commit(world, lease, first, full("x", version, 1), full("y", version, 2))
    later = checkpoint(lease, 1).checkpoint_id
    second = checkpoint(lease, 1, parent=first, versions={"x": version, "y": later})
    await commit(world, lease, second, full("y", later, 3))
    saved = await world.journal.load(lease.thread_id)
    assert saved is not None
    assert {name: serde.loads(c[-1].value) for name, c in saved.chains.items()} == {"x": 1, "y": 3}


@promise
async def notes_come_back_in_order_and_the_first_of_a_number_stays(world: World) -> None:
    lease = await world.run()
    made = await commit(world, lease, checkpoint(lease))
    one, other = task_id("one"), task_id("other")
    said = [
        note(one, "a"),
        note(other, "b", kind="interrupt", idx=1),
        note(one, "c", idx=1),
        note(one, "d", kind="sleep"),
    ]
    world.journal.record(lease, made, said[:2])
    world.journal.record(lease, made, [note(one, "late"), *said[2:]])
    await world.journal.settle(lease)
    saved = await world.journal.load(lease.thread_id, run_id=lease.run_id)
    assert saved is not None
    assert [_plain(found) for found in saved.notes] == [_plain(given) for given in said]
    assert (await world.journal.load(lease.thread_id)) == saved, "a checkpoint's own run is meant"


@promise
async def the_writes_of_a_task_come_back(world: World) -> None:
    lease = await world.run()
    made = await commit(world, lease, checkpoint(lease))
    writes = (Write(channel="x", value={1: (2,)}, encoded=serde.dumps({1: (2,)})),)
    wrote = TaskWrites(
        task_id=task_id("one"), node="n", writes=writes, goto=("a", Sent.of("b", [1]))
    )
    world.journal.record(
        lease, made, [Note(task_id=wrote.task_id, node="n", kind="writes", body=wrote)]
    )
    await world.journal.settle(lease)
    saved = await world.journal.load(lease.thread_id)
    assert saved is not None
    (found,) = saved.notes
    assert TaskWrites.loads(found.task_id, found.node, found.dumps()) == wrote


@promise
async def notes_are_over_with_their_superstep_and_others_are_not(world: World) -> None:
    one = await world.run()
    other = await world.run(one.thread_id)
    made = await commit(world, one, checkpoint(one))
    inner = await commit(world, one, checkpoint(one, namespace="n:1"))
    for lease, at in ((one, made), (other, made), (one, inner)):
        world.journal.record(lease, at, [note(task_id(lease.run_id), lease.run_id)])
    await commit(world, one, checkpoint(one, 1, parent=made))

    async def left(lease: Lease, at: Checkpoint) -> list[Any]:
        await world.journal.settle(lease)
        saved = await world.journal.load(
            one.thread_id,
            namespace=at.namespace,
            checkpoint_id=at.checkpoint_id,
            run_id=lease.run_id,
        )
        assert saved is not None
        return [serde.loads(found.dumps()) for found in saved.notes]

    assert await left(one, made) == []
    assert await left(other, made) == [other.run_id]
    assert await left(one, inner) == [one.run_id]


@promise
async def events_are_numbered_in_the_order_of_the_calls(world: World) -> None:
    lease = await world.run()
    journal = world.journal
    journal.append(lease, [custom("a"), custom("b")])
    made = checkpoint(lease)
    await journal.commit(lease, superstep(made, events=[custom("c")]))
    journal.append(lease, [custom("d", namespace="n:1")])
    journal.record(lease, made, [note(task_id("x"), 1)])
    journal.append(lease, [custom(None)])
    await journal.settle(lease)
    found = list(await journal.events(lease.run_id))
    assert [event["seq"] for event in found] == [1, 2, 3, 4, 5]
    assert [event["data"] for event in found] == ["a", "b", "c", "d", None]
    assert found[3] == {
        "seq": 4,
        "event": "custom",
        "node": "n",
        "step": 3,
        "namespace": "n:1",
        "data": "d",
    }


@promise
async def runs_that_write_at_once_do_not_mix(world: World) -> None:
    leases = [await world.run() for _ in range(5)]

    async def write(lease: Lease, number: int) -> None:
        parent = None
        for step in range(6):
            world.journal.append(lease, [custom([number, step])])
            parent = checkpoint(lease, step, parent=parent)
            await world.journal.commit(lease, superstep(parent, events=[]))

    await asyncio.gather(*(write(lease, number) for number, lease in enumerate(leases)))
    for number, lease in enumerate(leases):
        assert await names(world, lease) == [[number, step] for step in range(6)]
        saved = await world.journal.load(lease.thread_id)
        assert saved is not None and saved.checkpoint.step == 5


@promise
async def what_tasks_stated_since_the_last_checkpoint_is_heard(world: World) -> None:
    lease = await world.run()
    outer, inner, gone = task_id("outer"), task_id("inner"), task_id("gone")
    world.journal.append(lease, [custom("before", task_id=gone)])
    made = await commit(world, lease, checkpoint(lease))
    world.journal.append(lease, [custom("outer", task_id=outer), custom("no task")])
    world.journal.append(lease, [custom("gone", task_id=gone, namespace="n:1")])
    await commit(world, lease, checkpoint(lease, namespace="n:1"))
    world.journal.append(lease, [custom("inner", task_id=inner, namespace="n:1")])
    world.journal.append(lease, [custom("more", task_id=outer)])
    await world.journal.settle(lease)
    saved = await world.journal.load(lease.thread_id, run_id=lease.run_id)
    assert saved is not None and saved.checkpoint == made
    assert {name: list(told) for name, told in saved.heard.items()} == {
        outer: [("custom", b'"outer"'), ("custom", b'"more"')],
        inner: [("custom", b'"inner"')],
    }


@promise
async def where_a_run_began_is_known(world: World) -> None:
    one = await world.run()
    first = await commit(world, one, checkpoint(one, 4, source="input"))
    await commit(world, one, checkpoint(one, 5, parent=first))
    other = await world.run(one.thread_id)
    await commit(world, other, checkpoint(other, 6, parent=first))
    for lease, began in ((one, 4), (other, 5)):
        at = checkpoint(lease, 5 if lease is one else 6).checkpoint_id
        saved = await world.journal.load(one.thread_id, checkpoint_id=at)
        assert saved is not None and saved.entered == began


@promise
async def nothing_of_an_attempt_that_is_over_is_kept(world: World) -> None:
    lease = await world.run()
    made = await commit(world, lease, checkpoint(lease))
    world.journal.append(lease, [custom("mine")])
    await world.journal.settle(lease)
    taken = await world.take_over(lease)
    with pytest.raises(Fenced):
        world.journal.append(lease, [custom("late")])
        await world.journal.settle(lease)
    with pytest.raises(Fenced):
        world.journal.record(lease, made, [note(task_id("late"), 1)])
        await world.journal.settle(lease)
    with pytest.raises(Fenced):
        await commit(world, lease, checkpoint(lease, 1, parent=made))
    await commit(world, taken, checkpoint(taken, 1, parent=made))
    saved = await world.journal.load(lease.thread_id, checkpoint_id=made.checkpoint_id)
    assert saved is not None and list(saved.notes) == []
    assert await names(world, lease) == [None, "mine", None]


@promise
async def what_a_caller_changes_later_changes_nothing(world: World) -> None:
    lease = await world.run()
    arg = {"list": [1]}
    made = checkpoint(lease, frontier=Frontier(sends=(Sent.of("n", arg),)))
    await commit(world, lease, made)
    arg["list"].append(2)
    saved = await world.journal.load(lease.thread_id)
    assert saved is not None and saved.checkpoint.frontier.sends[0].arg == {"list": [1]}
    saved.checkpoint.frontier.sends[0].arg["list"].append(3)
    again = await world.journal.load(lease.thread_id)
    assert again is not None and again.checkpoint.frontier.sends[0].arg == {"list": [1]}


@promise
async def deleting_a_thread_leaves_the_others(world: World) -> None:
    one, other = await world.run(), await world.run()
    for lease in (one, other):
        version = checkpoint(lease).checkpoint_id
        made = checkpoint(lease, versions={"x": version})
        await commit(world, lease, made, full("x", version, 1))
        world.journal.record(lease, made, [note(task_id("x"), 1)])
        await world.journal.settle(lease)
    await world.journal.delete(one.thread_id)
    assert await world.journal.load(one.thread_id) is None
    assert list(await world.journal.history(one.thread_id)) == []
    assert list(await world.journal.events(one.run_id)) == []
    saved = await world.journal.load(other.thread_id)
    assert saved is not None and len(saved.notes) == 1 and "x" in saved.chains
    assert len(await world.journal.events(other.run_id)) == 1


@promise
async def who_waits_no_more_takes_nobody_along(world: World) -> None:
    one, other = await world.run(), await world.run()
    waiting = [
        asyncio.ensure_future(commit(world, lease, checkpoint(lease))) for lease in (one, other)
    ]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.wait(waiting)
    assert waiting[1].result() == checkpoint(other)
    await world.journal.settle(one)
    saved = await world.journal.load(other.thread_id)
    assert saved is not None


def _plain(found: Note) -> Sequence[Any]:
    return (found.task_id, found.node, found.kind, found.idx, serde.loads(found.dumps()))
