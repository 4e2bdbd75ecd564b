"""Channels: one state key each, and how the writes of a superstep become its next value.

A channel is a frozen rule; the values live with the run. `fold` never changes what it is given,
even if the reducer does: the same writes are folded for a router, for a look at the state, and at
the end of the superstep.
"""

from __future__ import annotations

import collections.abc
import operator
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol, get_origin

from runs.engine.concurrency.outside_calls import NoNode
from runs.engine.types import MISSING
from runs.engine.values.copies import copied

#: Whether a reducer is called by a fold, which must come out the same each time.
folding: ContextVar[bool] = ContextVar("fastgraph_folding", default=False)


class Entry(Protocol):
    """How values enter a channel, before its reducer sees them. A reducer with an attribute `entry`
    brings its own. None of these changes the value that it is given."""

    def entering(self, update: Any, seed: str | None) -> Any:
        """What is written to the channel instead of `update`. New ids follow from `seed`, which
        names the write; None gives none yet."""
        ...

    def identified(self, value: Any, seed: str) -> Any:
        """`value` with new ids and no other change: for what may be meant for this channel."""
        ...

    def restored(self, value: Any) -> Any:
        """A full value of the channel that was stored, maybe by an earlier version."""
        ...


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

    @property
    def adds(self) -> bool:
        """Whether what is written to a list is put behind its items, which stay as they are."""
        return False

    @property
    def entry(self) -> Entry | None:
        """What is done with values that enter it; None for nothing."""
        return None

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
    """Merges every write with `reduce(current, update)`, in task-path order. Both are copies, which
    the reducer may change, return and keep."""

    reduce: Callable[[Any, Any], Any]
    empty: Callable[[], Any] | None = None
    #: Makes what the annotation says of values that came as JSON, for the reducer to merge.
    convert: Callable[[Any], Any] | None = field(default=None, compare=False, repr=False)

    many = True

    @property
    def entry(self) -> Entry | None:
        return getattr(self.reduce, "entry", None)

    def initial(self) -> Any:
        return MISSING if self.empty is None else self.empty()

    def fold(self, current: Any, updates: Sequence[Any]) -> Any:
        current = current if current is MISSING else copied(current)
        token = folding.set(True)
        try:
            with NoNode(f"the reducer of key {self.name!r}"):
                for update in updates:
                    own = copied(update)
                    if self.convert is not None:
                        own = self.convert(own)
                        current = current if current is MISSING else self.convert(current)
                    current = own if current is MISSING else self.reduce(current, own)
        finally:
            folding.reset(token)
        return current


@dataclass(frozen=True)
class Appending(Reducer):
    """A reducer whose value grows by its updates, which are therefore what is stored. One that is
    known to change neither of its values: nothing is copied for it."""

    delta = True

    @property
    def adds(self) -> bool:
        return self.reduce is operator.add

    def fold(self, current: Any, updates: Sequence[Any]) -> Any:
        if self.adds and type(current) is list:
            # One copy for all updates, where adding one by one copies the list for each.
            return _extended(current, updates)
        token = folding.set(True)
        try:
            for update in updates:
                current = update if current is MISSING else self.reduce(current, update)
        finally:
            folding.reset(token)
        return current


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
