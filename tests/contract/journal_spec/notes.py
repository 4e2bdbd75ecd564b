"""`record`: what is known of a superstep that has not ended."""

from __future__ import annotations

from typing import Any

from runs.engine import serde
from runs.engine.checkpoint import Checkpoint, Note, NoteKind, Sent, TaskWrites, Write
from runs.engine.journal.ports import Lease
from tests.contract.builders import checkpoint, note, task_id
from tests.contract.journal_spec.promises import Promises, commit, plain
from tests.contract.worlds import World

SPEC = Promises()


@SPEC.promise
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
    assert [plain(found) for found in saved.notes] == [plain(given) for given in said]
    assert (await world.journal.load(lease.thread_id)) == saved, "a checkpoint's own run is meant"


@SPEC.promise
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


@SPEC.promise
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


@SPEC.promise
async def what_was_asked_outlives_its_superstep(world: World) -> None:
    lease = await world.run()
    made = await commit(world, lease, checkpoint(lease))
    asking = task_id("asking")
    kinds: tuple[NoteKind, ...] = ("interrupt", "answer", "step", "sleep", "writes", "command")
    bodies = {
        "interrupt": {"value": "?", "id": asking},
        "answer": {"id": asking, "value": "!"},
        "step": {"key": "k#1", "value": 1},
    }
    said = [note(asking, bodies.get(kind, {"writes": [], "goto": []}), kind=kind) for kind in kinds]
    world.journal.record(lease, made, said)
    # Once with what was asked stored before, and once in the same breath.
    await world.journal.settle(lease)
    second = await commit(world, lease, checkpoint(lease, 1, parent=made))
    world.journal.record(lease, second, said)
    await commit(world, lease, checkpoint(lease, 2, parent=second))
    for at in (made, second):
        saved = await world.journal.load(lease.thread_id, checkpoint_id=at.checkpoint_id)
        assert saved is not None
        assert [one.kind for one in saved.notes] == ["interrupt"]
