"""Ids of earlier versions: what a superstep has on record goes on under the ids it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from runs.engine import ids
from runs.engine.checkpoint import Checkpoint
from runs.engine.superstep.pending import PendingWrites
from runs.engine.superstep.plan import Task
from runs.engine.superstep.task_keys import place_of
from runs.engine.types import Command, Interrupt


def with_recorded_ids(
    tasks: list[Task], known: PendingWrites, at: Checkpoint | None, run_id: str
) -> list[Task]:
    """The tasks that are planned after `at`, each with the id that it has on record: the first
    versions derived it in another way."""
    recorded = {*known.done, *known.asked, *known.steps, *known.sleeps}
    if at is None or recorded <= {task.task_id for task in tasks}:
        return tasks
    named = [(task, _first_id(task, at.checkpoint_id, run_id)) for task in tasks]
    return [replace(task, task_id=first) if first in recorded else task for task, first in named]


def _first_id(task: Task, checkpoint_id: str, run_id: str) -> str:
    kind, number = task.path
    return ids.derived_text(run_id, checkpoint_id, f"{kind}:{number}", task.node.name)


def for_a_fork(
    known: PendingWrites, command: Command[Any], tasks: Sequence[Task], checkpoint: Checkpoint
) -> tuple[PendingWrites, Command[Any]]:
    """What was asked at `checkpoint`, and what is said to a fork of it, under the ids that the fork
    will ask under: an earlier version derived them from the run, and a fork is another one."""
    asked, renamed = dict(known.asked), dict[str, str]()
    for task in tasks:
        questions: list[Interrupt] = asked.get(task.task_id, [])
        for number, one in enumerate(questions):
            if one.id == ids.derived_text(task.task_id, "interrupt", str(number)):
                place = place_of(task, checkpoint)
                renamed[one.id] = ids.derived_text(place, "interrupt", str(number))
        asked[task.task_id] = [replace(one, id=renamed.get(one.id, one.id)) for one in questions]
    answers = command.resume
    if renamed and isinstance(answers, Mapping):
        command = replace(command, resume={renamed.get(k, k): v for k, v in answers.items()})
    return PendingWrites(asked=asked, old=True), command
