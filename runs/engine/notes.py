"""What is on record of a superstep that has not ended, and what an answer adds to it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from . import ids, serde
from .checkpoint import Checkpoint, Note, TaskWrites
from .errors import InvalidUpdateError
from .graph import Graph
from .types import START, Command, Interrupt
from .writes import read_command

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """Notes by what they are for: `done` what finished tasks wrote; `asked` what waiting tasks
    have asked, in order; `answers` by interrupt id; `steps` by task and key; `sleeps` by task and
    number; `commands` in order; `inside` where subgraphs in steps that keep their state stand."""

    done: dict[str, TaskWrites] = field(default_factory=dict)
    asked: dict[str, list[Interrupt]] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, dict[str, bytes]] = field(default_factory=dict)
    sleeps: dict[str, list[datetime]] = field(default_factory=dict)
    commands: list[TaskWrites] = field(default_factory=list)
    inside: dict[str, dict[str, str]] = field(default_factory=dict)

    def open(self) -> list[Interrupt]:
        """What nobody has answered yet, in the order to answer it."""
        found = [asked for interrupts in self.asked.values() for asked in interrupts]
        return [interrupt for interrupt in found if interrupt.id not in self.answers]


#: With the place of a task: the id of an answer to what it will ask first.
AHEAD = "ahead:"

#: What is on record of a superstep that begins. Never changed.
NOTHING = Recorded()


def read(notes: Iterable[Note]) -> Recorded:
    """The notes of one checkpoint, sorted out."""
    found = Recorded()
    for note in notes:
        if note.kind in ("writes", "command"):
            writes = TaskWrites.loads(note.task_id, note.node, note.dumps())
            if note.kind == "writes":
                found.done[note.task_id] = writes
            else:
                found.commands.append(writes)
            continue
        said = serde.loads(note.dumps())
        if note.kind == "interrupt":
            found.asked.setdefault(note.task_id, []).append(Interrupt(**said))
        elif note.kind == "answer":
            found.answers[said["id"]] = said["value"]
        elif note.kind == "step":
            found.steps.setdefault(note.task_id, {})[said["key"]] = serde.dumps(said["value"])
            found.inside.setdefault(note.task_id, {}).update(said.get("inside", {}))
        else:
            found.sleeps.setdefault(note.task_id, []).append(said)
    return found


def asked(task_id: str, interrupts: Sequence[Interrupt], known: Recorded) -> list[Note]:
    """The notes of what a task that waits has asked, beyond what is `known`."""
    before = known.asked.get(task_id, [])
    old = {interrupt.id for interrupt in before}
    new = [interrupt for interrupt in interrupts if interrupt.id not in old]
    return [
        Note(
            task_id=task_id,
            node=interrupt.node,
            kind="interrupt",
            idx=len(before) + number,
            body=serde.dumps(vars(interrupt)),
        )
        for number, interrupt in enumerate(new)
    ]


def stop_id(run_id: str, checkpoint: Checkpoint) -> str:
    """The id of a stop that the graph was compiled with, at a checkpoint."""
    return ids.derived_text(run_id, checkpoint.checkpoint_id, "stop")


def resume(
    graph: Graph,
    run_id: str,
    checkpoint: Checkpoint,
    known: Recorded,
    command: Command[Any],
    *,
    asks: str | None = None,
) -> list[Note]:
    """The notes that tell a run which waits at `checkpoint` to go on. `command.resume` is a
    mapping from interrupt ids to answers, or the answer to the first that is open; where the run
    only stopped, as its graph was compiled to, any lets it go on. `asks` is the place of a task
    that will ask again, and the answer is for that. An answer that nothing waits for raises
    InvalidUpdateError."""
    task_id = ids.derived_text(run_id, checkpoint.checkpoint_id, "command")
    waiting = known.open()
    answers: dict[str, Any] = {one.id: None for one in waiting if one.stop}
    if (here := stop_id(run_id, checkpoint)) not in known.answers:
        answers[here] = None
    questions = [one for one in waiting if not one.stop]
    if questions or not waiting:
        answers.update(_answers(questions, command.resume, asks))
    notes = [
        Note(
            task_id=task_id,
            node=START,
            kind="answer",
            idx=len(known.answers) + number,
            body=serde.dumps({"id": interrupt_id, "value": value}),
        )
        for number, (interrupt_id, value) in enumerate(answers.items())
    ]
    said = TaskWrites(task_id=task_id, node=START, **read_command(graph, command))
    idx = len(known.commands)
    return [*notes, Note(task_id=task_id, node=START, kind="command", idx=idx, body=said)]


def _answers(waiting: Sequence[Interrupt], answer: Any, asks: str | None) -> Mapping[str, Any]:
    if answer is None:
        return {}
    if asks is not None and not waiting:
        return {AHEAD + asks: answer}
    if not waiting:
        raise InvalidUpdateError("The run has not asked anything, so it takes no answer.")
    if not isinstance(answer, Mapping) or not any(map(_is_id, answer)):
        return {waiting[0].id: answer}
    if others := [key for key in answer if not _is_id(key)]:
        raise InvalidUpdateError(
            f"The answer has ids of questions and other keys ({', '.join(map(repr, others))}). "
            "Give answers by id alone, or one answer for the first question."
        )
    known = {interrupt.id for interrupt in waiting}
    for interrupt_id in answer:
        if interrupt_id not in known:
            raise InvalidUpdateError(
                f"Nothing with the id {interrupt_id} waits for an answer. "
                f"What waits: {', '.join(sorted(known))}."
            )
    return answer


def _is_id(key: Any) -> bool:
    return isinstance(key, str) and _ID.fullmatch(key) is not None
