"""Questions and sleeps of one node call: which is on record under which id.

What the node's own line of code asks comes one after another: the n-th question has the n-th
answer, whatever its text is. What is open at once is told apart by its value.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import cached_property

from runs.engine.concurrency.node_tasks import Where
from runs.engine.errors import IdentityError

#: So many more than twice the tasks of a call may be left over, before what comes with another
#: value each time is refused: tasks come in any order, and some are left out.
_SPARE = 3


class Order:
    """The ids that one node call has given out so far. `what` they are of; `derive` makes an id of
    a text's parts, `earlier` as an earlier version did; `recorded` holds the values on record, as
    short texts, by id."""

    def __init__(
        self,
        what: str,
        derive: Callable[..., str],
        recorded: Callable[[], Mapping[str, str]],
        *,
        first: str,
        old: bool,
        earlier: Callable[..., str] | None = None,
    ) -> None:
        self._what = what
        self._derive = derive
        self._load = recorded
        self._first = first
        self._old = old
        self._earlier = earlier
        self._own = 0
        self._used: set[str] = set()
        self._times: dict[tuple[str, ...], int] = {}
        self._lock = threading.Lock()

    def take(
        self, where: Where, value: Callable[[], str], key: str | None = None, *, tasks: int = 0
    ) -> str:
        """The id of what is asked now. `value` gives it as a short text; `tasks` have been made by
        the call so far. IdentityError for a key that was used before in this call, and for a value
        that is another one each time that the node is called."""
        with self._lock:
            if self._old or (where == "own" and key is None):
                self._own += 1
                return self._next(str(self._own - 1))
            if key is not None:
                found = self._derive("key", key)
                if found in self._used:
                    raise IdentityError(f"{self._what} uses key={key!r} twice: a key names one.")
            else:
                found = self._by_value(where, value(), tasks)
            self._used.add(found)
            return found

    def _next(self, number: str) -> str:
        """The id of the one with that number; as an earlier version derived it if it is on record
        so, and the client knows it by that."""
        if self._old and self._earlier is not None:
            found = self._earlier(self._first, number)
            if found in self._recorded:
                return found
        return self._derive(self._first, number)

    def _by_value(self, where: Where, value: str, tasks: int) -> str:
        recorded = self._recorded
        found = self._free("value", value)
        if found in recorded:
            return found
        alone, number = self._derive("alone", "0"), 0
        while alone in recorded:
            if alone not in self._used and recorded[alone] == value:
                return alone  # it was asked when no other ran beside it
            number += 1
            alone = self._derive("alone", str(number))
        if where == "alone":
            return self._free("alone")
        left = self._left_over()
        if left > _SPARE + 2 * tasks:
            raise IdentityError(
                f"{self._what} is another one each time that the node is called: {left} of before "
                "are on record, and nothing has come back to them. Give it a key=, a text that is "
                "the same each time."
            )
        return found

    def _left_over(self) -> int:
        """How many of those on record that are told apart by their value are not given out."""
        return sum(
            found not in self._used and found == self._derive("value", value, "0")
            for found, value in self._recorded.items()
        )

    @cached_property
    def _recorded(self) -> Mapping[str, str]:
        return self._load()

    def _free(self, *parts: str) -> str:
        """The first id of a kind that is not given out."""
        number = self._times.get(parts, 0)
        while (found := self._derive(*parts, str(number))) in self._used:
            number += 1
        self._times[parts] = number
        return found
