"""What a promise is, and what several of them do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from runs.engine import serde
from runs.engine.checkpoint import Checkpoint, Note
from runs.engine.journal.ports import Lease
from tests.contract.builders import superstep
from tests.contract.worlds import World

Promise = Callable[[World], Awaitable[None]]


class Promises(list[Promise]):
    """The promises of one module; `@SPEC.promise` adds one."""

    def promise(self, function: Promise) -> Promise:
        self.append(function)
        return function


async def commit(world: World, lease: Lease, made: Checkpoint, *changes: Any) -> Checkpoint:
    await world.journal.commit(lease, superstep(made, changes))
    return made


async def names(world: World, lease: Lease) -> list[Any]:
    return [event["data"] for event in await world.journal.events(lease.run_id)]


def plain(found: Note) -> Sequence[Any]:
    return (found.task_id, found.node, found.kind, found.idx, serde.loads(found.dumps()))
