"""What is on record of a superstep that has not ended, and what an answer adds to it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from runs.engine import ids, serde
from runs.engine.checkpoint import Checkpoint, Note, TaskWrites
from runs.engine.errors import InvalidUpdateError
from runs.engine.graph.graph import Graph
from runs.engine.superstep.recorded_call import Kept
from runs.engine.superstep.writes import read_command
from runs.engine.types import MISSING, START, Command, Interrupt

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sleep:
    """A sleep that goes on until a time: `value` is how long it is, as a short text. It was put on
    record at `since`, when its task had `asked` so many questions."""

    id: str
    until: datetime
    value: str = ""
    since: datetime | None = None
    asked: int = 0

    def dumps(self, *, old: bool) -> bytes:
        """Its note; as the earlier version has it if its superstep is of that."""
        said = {"id": self.id, "until": self.until, "value": self.value, "since": self.since}
        return serde.dumps(self.until if old else said)


@dataclass(frozen=True, kw_only=True)
class PendingWrites:
    """Notes by what they are for: `done` what finished tasks wrote; `asked` what waiting tasks
    have asked, in order, and `waits`, beside it, the number of the first that was asked at the same
    time; `answers` by interrupt id; `steps` and `sleeps` by task, in order; `commands` in order;
    `inside` where subgraphs in steps that keep their state stand. `old`: some are of an earlier
    version, which knew steps, questions and sleeps by their order alone."""

    done: dict[str, TaskWrites] = field(default_factory=dict)
    asked: dict[str, list[Interrupt]] = field(default_factory=dict)
    waits: dict[str, list[int]] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, list[Kept]] = field(default_factory=dict)
    sleeps: dict[str, list[Sleep]] = field(default_factory=dict)
    commands: list[TaskWrites] = field(default_factory=list)
    inside: dict[str, dict[str, str]] = field(default_factory=dict)
    old: bool = False

    def open(self) -> list[Interrupt]:
        """What nobody has answered yet, in the order to answer it."""
        found = [asked for interrupts in self.asked.values() for asked in interrupts]
        return [interrupt for interrupt in found if interrupt.id not in self.answers]


#: With the place of a task: the id of an answer to what it will ask first.
AHEAD = "ahead:"

#: What is on record of a superstep that begins. Never changed.
NO_PENDING_WRITES = PendingWrites()


def read(notes: Iterable[Note], *, shown: bool = False) -> PendingWrites:
    """The notes of one checkpoint, sorted out. With `shown`, for those who only look, objects of
    classes that are not here are data; otherwise they raise NotStorableError."""
    found, old = PendingWrites(), False
    for note in notes:
        if note.kind in ("writes", "command"):
            writes = TaskWrites.loads(note.task_id, note.node, note.dumps(), shown=shown)
            if note.kind == "writes":
                found.done[note.task_id] = writes
            else:
                found.commands.append(writes)
            continue
        if note.kind == "step":  # its result stays as it is until the step is asked for
            said = serde.loads_raw(note.dumps())
        else:
            said = serde.show(note.dumps()) if shown else serde.loads(note.dumps())
        if note.kind == "answer":
            found.answers[said["id"]] = said["value"]
            old |= said.get("old", False)
        else:
            old |= not _NOTED[note.kind](found, note.task_id, said)
    return replace(found, old=True) if old else found


def _note_question(found: PendingWrites, task_id: str, said: dict[str, Any]) -> bool:
    wait = said.pop("wait", None)
    interrupt = Interrupt(**said)
    asked = found.asked.setdefault(task_id, [])
    found.waits.setdefault(task_id, []).append(len(asked) if wait is None else wait)
    asked.append(interrupt)
    return wait is not None or interrupt.stop


def _note_step(found: PendingWrites, task_id: str, said: dict[str, Any]) -> bool:
    steps = found.steps.setdefault(task_id, [])
    steps.append(Kept.read(said, len(steps)))
    found.inside.setdefault(task_id, {}).update(said.get("inside", {}))
    return "call" in said


def _note_sleep(found: PendingWrites, task_id: str, said: Any) -> bool:
    sleeps = found.sleeps.setdefault(task_id, [])
    if isinstance(said, datetime):
        sleeps.append(Sleep(id=str(len(sleeps)), until=said))
        return False
    sleeps.append(Sleep(**said, asked=len(found.asked.get(task_id, ()))))
    return True


#: Each adds what a note says, and answers whether it is of this version.
_NOTED: Mapping[str, Callable[[PendingWrites, str, Any], bool]] = {
    "interrupt": _note_question,
    "step": _note_step,
    "sleep": _note_sleep,
}


def asked(task_id: str, interrupts: Sequence[Interrupt], known: PendingWrites) -> list[Note]:
    """The notes of what a task that waits has asked, beyond what is `known`."""
    before = known.asked.get(task_id, [])
    wait: dict[str, Any] = {} if known.old else {"wait": len(before)}
    old = {interrupt.id for interrupt in before}
    new = [interrupt for interrupt in interrupts if interrupt.id not in old]
    return [
        Note(
            task_id=task_id,
            node=interrupt.node,
            kind="interrupt",
            idx=len(before) + number,
            body=serde.dumps({**vars(interrupt), **wait}),
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
    known: PendingWrites,
    command: Command[Any],
    *,
    asks: str | None = None,
) -> list[Note]:
    """The notes that tell a run which waits at `checkpoint` to go on. `command.resume` is a
    mapping from interrupt ids to answers, or the answer to the first that is open (None is one,
    MISSING is none); where the run only stopped, as its graph was compiled to, any lets it go on.
    `asks` is the place of a task that will ask again, and the answer is for that. An answer that
    nothing waits for raises InvalidUpdateError."""
    task_id = ids.derived_text(run_id, checkpoint.checkpoint_id, "command")
    waiting = known.open()
    answers: dict[str, Any] = {one.id: None for one in waiting if one.stop}
    if (here := stop_id(run_id, checkpoint)) not in known.answers:
        answers[here] = None
    questions = [one for one in waiting if not one.stop]
    if questions or not waiting:
        answers.update(_answers(questions, command.resume, asks))
    # A fork has the answers, and not the questions: it goes by the rule that those were asked by.
    old = {"old": True} if known.old else {}
    notes = [
        Note(
            task_id=task_id,
            node=START,
            kind="answer",
            idx=len(known.answers) + number,
            body=serde.dumps({"id": interrupt_id, "value": value, **old}),
        )
        for number, (interrupt_id, value) in enumerate(answers.items())
    ]
    idx = len(known.commands)
    written = read_command(graph, command, f"{task_id}:{idx}")
    said = TaskWrites(task_id=task_id, node=START, **written)
    return [*notes, Note(task_id=task_id, node=START, kind="command", idx=idx, body=said)]


def _answers(waiting: Sequence[Interrupt], answer: Any, asks: str | None) -> Mapping[str, Any]:
    if answer is MISSING:
        return {}
    if asks is not None and not waiting:
        return {AHEAD + asks: answer}
    if not waiting:
        raise InvalidUpdateError("The run has not asked anything, so it takes no answer.")
    if not isinstance(answer, Mapping) or not any(map(_is_id, answer)):
        return {waiting[0].id: answer}
    if others := [key for key in answer if not _is_id(key)]:
        raise InvalidUpdateError(
            f"The answer has ids of questions and other keys ({some(map(repr, others))}). "
            "Give answers by id alone, or one answer for the first question; a mapping that is the "
            f'answer itself by the id of its question: {{"{waiting[0].id}": {{...}}}}.'
        )
    known = {interrupt.id for interrupt in waiting}
    for interrupt_id in answer:
        if interrupt_id not in known:
            raise InvalidUpdateError(
                f"Nothing with the id {interrupt_id} waits for an answer. "
                f"What waits: {some(sorted(known))}. If the mapping itself is the answer, "
                f'give it by the id of its question: {{"{waiting[0].id}": {{...}}}}.'
            )
    return answer


def some(texts: Iterable[str]) -> str:
    """The first ten of what may be thousands, for a message."""
    found = list(texts)
    rest = len(found) - 10
    return ", ".join(found[:10]) + (f" and {rest:,} more" if rest > 0 else "")


def _is_id(key: Any) -> bool:
    return isinstance(key, str) and _ID.fullmatch(key) is not None
