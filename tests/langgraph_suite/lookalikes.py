"""What LangGraph's tests need of its own words: records that are equal to ours when they say the
same, and names that only annotations use.

LangGraph's records have other fields than ours beside those that both have; what only one of them
has is not compared, and neither is the `path` of a task, which names LangGraph's channels.
`metadata` is compared by source and step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runs import engine
from runs.engine.calls.snapshots import StateSnapshot as OurSnapshot
from runs.engine.calls.snapshots import TaskSnapshot


class Interrupt(engine.Interrupt):
    """A question, compared by value and id."""

    def __init__(self, value: Any, id: str = "", **rest: Any) -> None:
        super().__init__(value=value, id=id)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, engine.Interrupt):
            return NotImplemented
        return bool(self.value == other.value and self.id == other.id)

    __hash__ = None  # type: ignore[assignment]


class StateGraph(engine.StateGraph):
    """Ours, with LangGraph's parameters for type checkers."""

    def __class_getitem__(cls, types: Any) -> Any:
        return cls


class Runtime(engine.Context):
    """Ours, with LangGraph's parameter for type checkers."""

    def __class_getitem__(cls, types: Any) -> Any:
        return cls


class Journal(engine.MemoryJournal):
    """Ours, as the class that LangGraph's savers have as their base."""

    get_next_version = None


class DeltaChannel:
    """A mark in annotations: tests whose graphs have such a channel are out of scope."""

    def __init__(self, *args: Any, **options: Any) -> None:
        pass


@dataclass(eq=False)
class PregelTask:
    """A task of a snapshot."""

    id: Any
    name: str
    path: Any
    error: Any = None
    interrupts: tuple[Any, ...] = ()
    state: Any = None
    result: Any = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TaskSnapshot):
            return NotImplemented
        return bool(
            self.id == other.id
            and self.name == other.name
            and repr(self.error) == repr(getattr(other, "error", None))
            and self.interrupts == other.interrupts
            and self.state == other.state
            and self.result == other.result
        )


@dataclass(eq=False)
class StateSnapshot:
    """A thread at a checkpoint."""

    values: Any
    next: tuple[str, ...]
    config: Any
    metadata: Any
    created_at: Any
    parent_config: Any
    tasks: tuple[Any, ...]
    interrupts: tuple[Any, ...] = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OurSnapshot):
            return NotImplemented
        return bool(
            self.values == other.values
            and self.next == other.next
            and self.config == other.config
            and self._about() == tuple(other.metadata.get(key) for key in ("source", "step"))
            and self.parent_config == other.parent_config
            and self.tasks == other.tasks
            and self.interrupts == other.interrupts
        )

    def _about(self) -> tuple[Any, ...]:
        metadata = self.metadata if isinstance(self.metadata, dict) else {}
        return tuple(metadata.get(key) for key in ("source", "step"))
