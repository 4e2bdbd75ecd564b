"""Channels: one state key each, and how the writes of a superstep become its next value.

A channel is a frozen rule; the values live with the run. `fold` never changes what it is given.
"""

from __future__ import annotations

import collections.abc
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_origin

from .types import MISSING


@dataclass(frozen=True)
class Channel:
    """The rule of one state key."""

    name: str

    #: Many writes in one superstep are fine.
    many = False
    #: Its updates are worth storing instead of its value.
    delta = False
    #: Its value is gone after the superstep that follows the write.
    ephemeral = False

    def initial(self) -> Any:
        """The value before any write; MISSING for none."""
        return MISSING

    def fold(self, current: Any, updates: Sequence[Any]) -> Any:
        """The next value, from the current one and what was written, in order."""
        return updates[-1]


@dataclass(frozen=True)
class LastValue(Channel):
    """Keeps what was written last; one write a superstep."""


@dataclass(frozen=True)
class EphemeralValue(Channel):
    """Like LastValue, but seen by the next superstep only."""

    ephemeral = True


@dataclass(frozen=True)
class Reducer(Channel):
    """Merges every write with `reduce(current, update)`, in task-path order."""

    reduce: Callable[[Any, Any], Any]
    empty: Callable[[], Any] | None = None

    many = True

    def initial(self) -> Any:
        return MISSING if self.empty is None else self.empty()

    def fold(self, current: Any, updates: Sequence[Any]) -> Any:
        for update in updates:
            current = update if current is MISSING else self.reduce(current, update)
        return current


@dataclass(frozen=True)
class Appending(Reducer):
    """A reducer whose value grows by its updates, which are therefore what is stored."""

    delta = True

    def fold(self, current: Any, updates: Sequence[Any]) -> Any:
        if self.reduce is operator.add and type(current) is list:
            # One copy for all updates, where adding one by one copies the list for each.
            return _extended(current, updates)
        return super().fold(current, updates)


def _extended(current: list[Any], updates: Sequence[Any]) -> list[Any]:
    result = list(current)
    for update in updates:
        if type(update) is not list:
            raise TypeError(f"can only add a list to a list, not {type(update).__name__}")
        result.extend(update)
    return result


_CONCRETE = {
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Mapping: dict,
    collections.abc.MutableMapping: dict,
    collections.abc.Set: set,
    collections.abc.MutableSet: set,
}


def reducer(name: str, annotation: Any, reduce: Callable[[Any, Any], Any]) -> Reducer:
    """The channel of `Annotated[annotation, reduce]`: begins with the annotation's empty value
    where it has one. Appending where the value is known to grow by its updates."""
    concrete = _CONCRETE.get(get_origin(annotation) or annotation, get_origin(annotation))
    empty = concrete or annotation
    try:
        first = empty()
    except Exception:  # any class of the user's may stand here, and refuse in its own way
        return Reducer(name, reduce)
    grows = (type(first) in (list, str) and reduce is operator.add) or (
        type(first) is dict and reduce is operator.or_
    )
    cls = Appending if grows or getattr(reduce, "appends", False) else Reducer
    return cls(name, reduce, empty)
