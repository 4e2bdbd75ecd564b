"""`append`, `events`, `updates`, `heard` and `room`: what is told, in its order."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

from runs.engine.events import NODE_UPDATE
from runs.engine.journal.ports import Lease
from tests.contract.builders import announced, checkpoint, custom, note, superstep, task_id
from tests.contract.journal_spec.promises import Promises, commit, names
from tests.contract.worlds import World

#: Seconds that somebody who asks for room may wait: for ever, as far as a test can tell.
LONG = 60.0

SPEC = Promises()


@SPEC.promise
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


@SPEC.promise
async def who_asks_for_room_gets_it_and_nothing_is_given_up_for_that(world: World) -> None:
    lease = await world.run()
    for number in range(300):
        world.journal.append(lease, [custom([number, "x" * 1000])])
    first, *others = [asyncio.ensure_future(world.journal.room()) for _ in range(3)]
    await asyncio.sleep(0)
    first.cancel()  # who leaves takes nobody's turn away
    _, left = await asyncio.wait(others, timeout=LONG)
    for asked in left:
        asked.cancel()
    assert not left
    await world.journal.settle(lease)
    assert [number for number, _ in await names(world, lease)] == list(range(300))


@SPEC.promise
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


@SPEC.promise
async def what_tasks_have_written_can_be_read_by_their_ids(world: World) -> None:
    lease, other = await world.run(), await world.run()
    one, two = task_id("one"), task_id("two")
    wrote = partial(replace, custom("x", task_id=one), name=NODE_UPDATE)
    world.journal.append(lease, [wrote(), custom("y", task_id=one), wrote(data=b'{"a":1}')])
    await commit(world, lease, checkpoint(lease))
    world.journal.append(lease, [wrote(task_id=two, namespace="n:1"), wrote(task_id=None)])
    world.journal.append(other, [wrote(data=b"2")])
    for each in (lease, other):
        await world.journal.settle(each)
    assert await world.journal.updates(lease.run_id) == {one: b'{"a":1}', two: b'"x"'}
    assert await world.journal.updates(other.run_id) == {one: b"2"}


@SPEC.promise
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


@SPEC.promise
async def checkpoints_that_were_announced_and_not_kept_are_heard(world: World) -> None:
    lease = await world.run()
    made = [checkpoint(lease)]
    made += [checkpoint(lease, step, parent=made[-1]) for step in (1, 2)]
    told = [announced(one) for one in made]
    world.journal.append(lease, [told[0], custom("a", task_id=task_id("a")), told[1]])
    await world.journal.settle(lease)
    assert await world.journal.load(lease.thread_id, run_id=lease.run_id) is None
    heard = await world.journal.heard(lease.run_id)
    assert {about: list(said) for about, said in heard.items()} == {
        task_id("a"): [("custom", b'"a"')],
        made[0].checkpoint_id: [("checkpoint", told[0].data)],
        made[1].checkpoint_id: [("checkpoint", told[1].data)],
    }
    await world.journal.submit(lease, [superstep(made[0], events=[])])
    world.journal.append(lease, [told[2]])
    await world.journal.settle(lease)
    saved = await world.journal.load(lease.thread_id, run_id=lease.run_id)
    assert saved is not None
    assert {about: list(said) for about, said in saved.heard.items()} == {
        task_id("a"): [("custom", b'"a"')],
        made[1].checkpoint_id: [("checkpoint", told[1].data)],
        made[2].checkpoint_id: [("checkpoint", told[2].data)],
    }
