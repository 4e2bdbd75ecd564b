"""`submit`, `transact`, and who may still write: all of it is kept, once, or nothing."""

from __future__ import annotations

import asyncio

import pytest

from runs.engine.checkpoint import Note, TaskWrites
from runs.engine.errors import Fenced
from runs.engine.journal.ports import Record, Transacted
from tests.contract.builders import checkpoint, custom, full, note, superstep, task_id
from tests.contract.journal_spec.promises import Promises, commit, names, plain
from tests.contract.worlds import World, in_thread

SPEC = Promises()


@SPEC.promise
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


@SPEC.promise
async def what_is_submitted_is_kept_together_and_in_its_place(world: World) -> None:
    lease = await world.run()
    first, second = checkpoint(lease), checkpoint(lease, 1, parent=checkpoint(lease))
    version = second.checkpoint_id
    changed = checkpoint(lease, 1, parent=first, versions={"x": version})
    over, left = note(task_id("over"), 1), note(task_id("left"), 2)
    world.journal.append(lease, [custom("before")])
    done = world.journal.submit(
        lease,
        [superstep(first), superstep(changed, [full("x", version, "v")], [custom("said")])],
        [
            Record(namespace="", checkpoint_id=first.checkpoint_id, notes=[over]),
            Record(namespace="", checkpoint_id=version, notes=[left]),
        ],
    )
    world.journal.append(lease, [custom("after")])
    await done
    await world.journal.settle(lease)
    saved = await world.journal.load(lease.thread_id)
    assert saved is not None and saved.checkpoint == changed
    assert list(saved.chains["x"]) == [full("x", version, "v")]
    assert [plain(found) for found in saved.notes] == [plain(left)]
    assert await names(world, lease) == ["before", None, "said", "after"]


@SPEC.promise
async def nothing_that_an_old_attempt_submits_is_kept(world: World) -> None:
    old = await world.run()
    await commit(world, old, checkpoint(old))
    await world.take_over(old)
    with pytest.raises(Fenced):
        await world.journal.submit(old, [superstep(checkpoint(old, 1, parent=checkpoint(old)))])
    saved = await world.journal.load(old.thread_id)
    assert saved is not None and saved.checkpoint.step == 0


@SPEC.promise
async def what_a_transaction_gives_is_kept_once(world: World) -> None:
    lease = await world.run()
    made = await commit(world, lease, checkpoint(lease))
    calls: list[str] = []

    def work() -> Transacted:
        calls.append("called")
        wrote = TaskWrites(task_id=task_id("t"), node="n", goto=("a",))
        kept = Note(task_id=task_id("t"), node="n", kind="writes", body=wrote)
        return Transacted(note=kept, events=[custom("in it"), custom("too")])

    for _ in range(2):
        kept = await in_thread(world.journal.transact, lease, made, task_id("t"), work)
        assert TaskWrites.loads(kept.task_id, kept.node, kept.dumps()).goto == ("a",)
    assert calls == ["called"]
    world.journal.append(lease, [custom("after")])
    await world.journal.settle(lease)
    saved = await world.journal.load(lease.thread_id)
    assert saved is not None
    assert [(one.task_id, one.kind) for one in saved.notes] == [(task_id("t"), "writes")]
    assert await names(world, lease) == [None, "in it", "too", "after"]
    await commit(world, lease, checkpoint(lease, 1, parent=made))
    saved = await world.journal.load(lease.thread_id)
    assert saved is not None and saved.notes == []


@SPEC.promise
async def nothing_of_a_transaction_that_fails_or_is_late_is_kept(world: World) -> None:
    lease = await world.run()
    made = await commit(world, lease, checkpoint(lease))

    def fails() -> Transacted:
        raise ValueError("no")

    def late() -> Transacted:
        return Transacted(note=note(task_id("t"), 1, kind="writes"), events=[custom("late")])

    with pytest.raises(ValueError, match="no"):
        await in_thread(world.journal.transact, lease, made, task_id("t"), fails)
    taken = await world.take_over(lease)
    with pytest.raises(Fenced):
        await in_thread(world.journal.transact, lease, made, task_id("t"), late)
    await world.journal.settle(taken)
    saved = await world.journal.load(lease.thread_id)
    assert saved is not None and saved.notes == []
    assert await names(world, lease) == [None]


@SPEC.promise
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
