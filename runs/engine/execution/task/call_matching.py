"""Steps, tasks and graphs of one node call: which record belongs to which call.

A call is known by its key or, without one, by its name, its arguments and how many of the same
there were before. The order in which calls arrive does not count: calls that run at once arrive
in another order when the node is called again.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from runs.engine import serde
from runs.engine.errors import IdentityError
from runs.engine.superstep.call_identity import Arguments, alike
from runs.engine.superstep.recorded_call import Call, Kept, group_of


class Calls:
    """The calls of one node call, by name. `old`: the records are of an earlier version, which
    went by order alone; so does the rest of the superstep."""

    def __init__(self, node: str, kept: Iterable[Kept], *, old: bool) -> None:
        self._node = node
        self._old = old
        self._lock = threading.Lock()
        self._kept: dict[str, Kept] = {}
        #: What is on record and no call has claimed yet, by name and then by key.
        self._left: dict[str, dict[str, Kept]] = defaultdict(dict)
        #: The same by name and identity.
        self._same: dict[tuple[str, str], dict[str, Kept]] = defaultdict(dict)
        #: The calls of a name that were asked for before, on record or not.
        self._known: dict[str, set[str]] = defaultdict(set)
        for one in kept:
            self._kept[one.key] = self._left[one.name][one.key] = one
            self._same[one.name, one.identity][one.key] = one
            self._known[one.name].update(one.asked)
        #: Numbers by group, those of calls that only wait for themselves.
        self._numbers: dict[str, set[int]] = defaultdict(set)
        self._waiting: dict[str, set[int]] = defaultdict(set)
        for one in self._kept.values():
            group = group_of(one.name)
            settled = one.apart or one.value is not None or group == "|"
            (self._numbers if settled else self._waiting)[group].add(one.number)
        self._last: dict[str, int] = defaultdict(int)
        self._used: set[str] = set()
        self._times: dict[str, int] = defaultdict(int)
        self._running: dict[str, dict[str, list[Call]]] = defaultdict(dict)
        self._asked: dict[str, list[str]] = defaultdict(list)
        #: The first call of a name and identity that is not the node's own line's, with its line.
        self._first: dict[tuple[str, str], tuple[object, bool, Call]] = {}
        #: The tasks that wait to be told from what is on record.
        self.in_doubt: set[Any] = set()

    def begin(
        self,
        name: str,
        given: Arguments,
        *,
        mark: str = "",
        graph: bool = False,
        function: Callable[..., Any] | None = None,
        key: str | None = None,
        own: bool,
        beside: bool = False,
        line: object = None,
    ) -> Call:
        """The call of `name` with these arguments, with what is on record of it. `own`: it is
        asked for by the node's own line of code, one thing after another; `beside`: others run
        at the same time as its `line`, a task or thread. IdentityError when it cannot be told
        which record it has, or two of several lines cannot be told from one another."""
        name = _name(name, graph=graph)
        with self._lock:
            if self._old:
                return self._by_order(group_of(name))
            call = Call("", name, 0, old=False)
            call.identity = given.digest if key is None else f"={key}"
            call.mark, call.given, call.function = mark, given, function
            call.own, call.apart = own, beside
            if key is None and not own:
                self._refuse_lookalike(call, line)
            call.kept = self._find(call, key)
            if call.kept is not None:
                self._claim(call, call.kept)
            else:
                self._add(call, key)
            if call.kept is None or call.kept.value is None:
                self._run(call, keyed=key is not None)
            return call

    def recorded(self, call: Call) -> bytes:
        """What of the call goes on record now: JSON for `Kept.read`."""
        with self._lock:
            asked, mine = self._asked.pop(call.name, []), call.short
            return orjson.dumps(call.describe([one for one in asked if one != mine]))

    def end(self, call: Call, *, failed: bool = False) -> None:
        """The call is over. One that `failed` may be made again under its key."""
        with self._lock:
            same = self._running[call.name].get(call.identity)
            if same is not None and call in same:
                same.remove(call)
                if not same:
                    del self._running[call.name][call.identity]
            if failed and call.identity[:1] == "=":
                self._used.discard(call.key)

    def _by_order(self, name: str) -> Call:
        """As the earlier version did: the n-th call of a name has the n-th record."""
        self._last[name] = number = self._last[name] + 1
        call = Call(f"{name}#{number}", name, number, old=True)
        call.kept = self._kept.get(call.key)
        return call

    def _claim(self, call: Call, kept: Kept) -> None:
        """Let a call have what is on record of it."""
        call.key, call.number, call.apart = kept.key, kept.number, kept.apart
        self._used.add(kept.key)
        del self._left[call.name][kept.key]
        del self._same[call.name, kept.identity][kept.key]
        self._last[group_of(call.name)] = kept.number

    def _add(self, call: Call, key: str | None) -> None:
        """Give a call that is not on record its key and number."""
        if self._left[call.name] and self._is_doubtful(call):
            if call.own:
                raise self.refusal(call)
            call.doubtful = True
        group = group_of(call.name)
        call.key = self._free_key(call, key)
        self._used.add(call.key)
        number, taken, waiting = self._last[group] + 1, self._numbers[group], self._waiting[group]
        # What ran alone, and waits, may be this call with other arguments: such calls come one
        # after another.
        while number in taken or (call.apart and number in waiting):
            number += 1
        call.number = self._last[group] = number
        taken.add(number)

    def _find(self, call: Call, key: str | None) -> Kept | None:
        if key is not None and _key(call.name, key) in self._used:
            what = self._what(call.name)
            raise IdentityError(f"{what} uses key={key!r} twice: keys name one call.")
        if not self._left.get(call.name):
            return None
        same = list(self._same[call.name, call.identity].values())
        if key is not None:
            # The key may be new in the code: then the record goes by the arguments still.
            same = same or self._by_arguments(call)
            return next(iter(same), None)
        same = same or self._by_arguments(call)
        fits = next((kept for kept in same if kept.mark == call.mark), None)
        if fits is not None or not same or call.short in self._known[call.name]:
            return fits
        if call.name[0] == "|" and (fits := next((k for k in same if _shares(k, call)), None)):
            return fits  # a graph that was changed since
        raise IdentityError(
            f"{self._what(call.name)} is on record with these arguments, but of another function "
            f"({next(iter(same)).mark}). Which result is meant cannot be told, so nothing was "
            f"called: {_GIVE_KEY}"
        )

    def _by_arguments(self, call: Call) -> list[Kept]:
        """The records with the arguments of the call, also those of an earlier version."""
        given = call.given
        assert given is not None
        if same := self._same[call.name, given.digest]:
            return list(same.values())
        return [kept for kept in self._same[call.name, given.older].values() if not kept.typed]

    def is_doubtful(self, call: Call) -> bool:
        """Whether a call that is not on record may still be one that is, with other arguments."""
        with self._lock:
            return self._is_doubtful(call)

    def _is_doubtful(self, call: Call) -> bool:
        """Whether another record of its name is left over; but for a call that was asked for before
        beside that."""
        if call.short in self._known[call.name]:
            return False
        for kept in self._left[call.name].values():
            is_done = kept.value is not None or call.name[0] == "|"
            if is_done and kept.identity[:1] != "=":
                return True
        return False

    def refusal(self, call: Call) -> IdentityError:
        """That nobody can tell which call it is."""
        named = call.identity[:1] == "="
        called = "has no record under its key" if named else "has other arguments than before"
        return IdentityError(
            f"{self._what(call.name)} {called}, and there is a result on record that no call has "
            "asked for. If this is the same call, with an argument that is new every time (a time, "
            "a random id), it would be done a second time; so nothing was called. Give it the same "
            f"arguments each time, or {_GIVE_KEY}"
        )

    def _free_key(self, call: Call, key: str | None) -> str:
        if key is not None:
            return _key(call.name, key)
        each = f"{call.name}@{call.identity}"
        number = self._times[each] + 1
        while (found := f"{each}#{number}") in self._used or found in self._kept:
            number += 1
        self._times[each] = number
        return found

    def _run(self, call: Call, *, keyed: bool) -> None:
        """Let the calls of a name that run at once know of each other."""
        running = self._running[call.name]
        same = running.get(call.identity, ())
        if not keyed and same and not _may_change_places(call, same[0]):
            self._used.discard(call.key)
            raise self._lookalike(call)
        if running:
            call.apart = True
            if len(running) == 1:
                for other in next(iter(running.values())):
                    other.apart = True
        running.setdefault(call.identity, []).append(call)
        self._asked[call.name].append(call.short)

    def _refuse_lookalike(self, call: Call, line: object) -> None:
        """Refuse a call that looks like one of another line that runs at the same time, and does
        something else: the lines may come here in another order when the node is called again."""
        first = self._first.setdefault((call.name, call.identity), (line, call.apart, call))
        other_line, other_apart, other = first
        # A thread of a pool serves several lines, and nobody can tell which.
        same = line is other_line if isinstance(line, asyncio.Task) else other is call
        if (call.apart or other_apart) and not same and not _may_change_places(call, other):
            raise self._lookalike(call)

    def _lookalike(self, call: Call) -> IdentityError:
        return IdentityError(
            f"{self._what(call.name)} is called twice at once with the same arguments and "
            "another function, or with objects of which only the type can be told. Nobody "
            f"could tell the results apart when the node is called again: {_GIVE_KEY}"
        )

    def _what(self, name: str) -> str:
        what = f"Graph {name[1:]!r}" if name[0] == "|" else f"Step or task {name!r}"
        return f"{what} of node {self._node!r}"


_GIVE_KEY = "give each such call a key=, a text that is the same each time and its own."


def _name(name: str, *, graph: bool) -> str:
    """The name on record. Those of graphs begin with a bar; a step's or task's that does, after
    any backslashes, has one backslash more there."""
    if graph:
        return f"|{name}"
    return f"\\{name}" if name.lstrip("\\")[:1] == "|" else name


def _key(name: str, key: str) -> str:
    return serde.dumps([name, key]).decode()


def mark_of_graph(nodes: Iterable[str]) -> str:
    """Which graph it is, beside its name: the names of its nodes."""
    return "\n".join(sorted(nodes))


def _shares(kept: Kept, call: Call) -> bool:
    """Whether two graphs have a node of the same name."""
    return not set(kept.mark.split("\n")).isdisjoint(call.mark.split("\n"))


def _may_change_places(call: Call, other: Call) -> bool:
    """Whether two calls under one name with equal arguments may as well change places; or are told
    apart otherwise."""
    if call.mark != other.mark:
        return call.name[0] == "|"
    one, two = call.function, other.function
    if one is not None and two is not None and not alike(one, two):
        return False
    given, others = call.given, other.given
    if given is None or others is None or (given.exact and others.exact):
        return True
    return given.same_objects(others)
