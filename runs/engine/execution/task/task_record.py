"""What is on record of one task, for a call of its node: each thing by the id it is known by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import orjson

from runs.engine import ids
from runs.engine.execution.task.call_matching import Calls
from runs.engine.execution.task.question_order import Order
from runs.engine.superstep.call_identity import digest
from runs.engine.superstep.pending import PendingWrites, Sleep
from runs.engine.superstep.recorded_call import Call, Kept


class Ledger:
    """The records of task `task_id`, and what the present call of its node has claimed of them:
    `calls` (steps, tasks, graphs), `questions` and `sleeps`. `root_id` is the task of the superstep
    that it belongs to, `place` what its questions' ids are made of, `before` what an earlier call
    of the node had."""

    def __init__(
        self,
        node: str,
        known: PendingWrites,
        answers: Mapping[str, Any],
        *,
        task_id: str,
        root_id: str,
        place: str,
        before: Ledger | None = None,
    ) -> None:
        self._known = known
        self._answers = answers
        self._root_id = root_id
        #: With what earlier calls of the node have recorded in this process.
        self._kept = before._all_kept() if before else known.steps.get(task_id, ())
        self._made: list[tuple[str, bytes, bytes | None]] = []
        self._slept: dict[str, Sleep] = (
            before._slept if before else {one.id: one for one in known.sleeps.get(task_id, ())}
        )
        self.calls = Calls(node, self._kept, old=known.old)
        self.questions = Order(
            f"A question of node {node!r}",
            partial(ids.derived_text, place),
            self._asked,
            first="interrupt",
            old=known.old,
            earlier=partial(ids.derived_text, task_id),
        )
        self.sleeps = Order(
            f"A sleep of node {node!r}",
            partial(_sleep_id, known.old, task_id),
            lambda: {sleep.id: sleep.value for sleep in self._slept.values()},
            first="sleep",
            old=known.old,
        )
        self.asked = 0

    def _asked(self) -> Mapping[str, str]:
        asked = self._known.asked.get(self._root_id, ())
        return {
            **dict.fromkeys(self._answers, ""),
            **{one.id: question(one.value, one.schema) for one in asked},
        }

    def until(self, sleep_id: str) -> datetime | None:
        """When the sleep with that id ends, if it is on record."""
        kept = self._slept.get(sleep_id)
        return None if kept is None else kept.until

    def slept(self, sleep: Sleep) -> int:
        """Take a new sleep into account; answers the number of its note."""
        self._slept[sleep.id] = sleep
        return len(self._slept) - 1

    def kept(self, call: Call, described: bytes, value: bytes | None) -> int:
        """Take the record of a call into account; answers the number of its note."""
        self._made.append((call.key, described, value))
        return len(self._kept) + len(self._made) - 1

    def _all_kept(self) -> Sequence[Kept]:
        made = [
            Kept(key=key, idx=idx, value=value, **orjson.loads(described))
            for idx, (key, described, value) in enumerate(self._made, len(self._kept))
        ]
        return [*self._kept, *made]


def question(value: Any, schema: Any) -> str:
    """A question as a short text."""
    return digest([value, schema]).digest


def _sleep_id(old: bool, task_id: str, *parts: str) -> str:
    # The earlier version had no ids for sleeps; `notes` gives them their number.
    return parts[-1] if old else ids.derived_text(task_id, *parts)
