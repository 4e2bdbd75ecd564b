"""`commit`, `load`, `history` and `delete`: checkpoints and the values of their channels."""

from __future__ import annotations

from typing import Any

from runs.engine import serde
from runs.engine.checkpoint import Checkpoint, Frontier, Sent
from tests.contract.builders import checkpoint, delta, full, note, task_id
from tests.contract.journal_spec.promises import Promises, commit
from tests.contract.worlds import World

SPEC = Promises()


@SPEC.promise
async def an_unknown_thread_has_nothing(world: World) -> None:
    lease = await world.run()
    assert await world.journal.load(lease.thread_id) is None
    assert list(await world.journal.history(lease.thread_id)) == []
    assert list(await world.journal.events(lease.run_id)) == []


@SPEC.promise
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


@SPEC.promise
async def an_older_checkpoint_can_be_loaded(world: World) -> None:
    lease = await world.run()
    first = await commit(world, lease, checkpoint(lease))
    second = await commit(world, lease, checkpoint(lease, 1, parent=first))
    newest = await world.journal.load(lease.thread_id)
    older = await world.journal.load(lease.thread_id, checkpoint_id=first.checkpoint_id)
    assert newest is not None and newest.checkpoint == second
    assert older is not None and older.checkpoint == first


@SPEC.promise
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


@SPEC.promise
async def the_newest_of_a_namespace_is_the_last_that_was_written(world: World) -> None:
    lease = await world.run()
    inner = None
    for step in range(3):
        inner = await commit(
            world, lease, checkpoint(lease, step, parent=inner, namespace="n:1|m:2")
        )
    saved = await world.journal.load(lease.thread_id, namespace="n:1|m:2")
    assert saved is not None and saved.checkpoint == inner


@SPEC.promise
async def history_is_newest_first_and_can_be_cut(world: World) -> None:
    lease = await world.run()
    made: list[Checkpoint] = []
    for step in range(4):
        parent = made[-1] if made else None
        made.append(await commit(world, lease, checkpoint(lease, step, parent=parent)))
    assert list(await world.journal.history(lease.thread_id)) == made[::-1]
    assert list(await world.journal.history(lease.thread_id, limit=2)) == made[:1:-1]


@SPEC.promise
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


@SPEC.promise
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


@SPEC.promise
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


@SPEC.promise
async def a_subgraph_is_found_where_the_run_left_it(world: World) -> None:
    one = await world.run()
    other = await world.run(one.thread_id)
    mine = await commit(world, one, checkpoint(one, 3, namespace="n", source="input"))
    theirs = await commit(world, other, checkpoint(other, 1, namespace="n", source="input"))
    again = await commit(world, one, checkpoint(one, 5, parent=mine, namespace="n", source="input"))
    last = await commit(world, one, checkpoint(one, 6, parent=again, namespace="n"))

    async def found(run_id: str, at: Checkpoint | None = None) -> Any:
        saved = await world.journal.load(
            one.thread_id,
            namespace="n",
            run_id=run_id,
            checkpoint_id=at.checkpoint_id if at else None,
        )
        return None if saved is None else (saved.checkpoint.checkpoint_id, saved.entered)

    assert await found(one.run_id) == (last.checkpoint_id, 5)
    assert await found(other.run_id) == (theirs.checkpoint_id, 1)
    assert await found((await world.run(one.thread_id)).run_id) is None
    assert (await found(other.run_id, mine))[0] == mine.checkpoint_id


@SPEC.promise
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


@SPEC.promise
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


@SPEC.promise
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
