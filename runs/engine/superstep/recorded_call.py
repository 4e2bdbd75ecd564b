"""One call of a step, a task or a graph in a node; and what is on record of one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runs.engine import serde
from runs.engine.superstep.call_identity import Arguments


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What is on record of a call. `value` is its encoded result, None while there is none.
    `identity` is its key or its arguments, `mark` its function, `number` its place among the calls
    of its group, `apart`: its questions go by `key` and not by `number`. `asked` are the calls of
    its name that were asked for since the record before, `idx` says which record it is. `typed`:
    its identity tells a tuple from a list; that of earlier versions does not."""

    key: str
    name: str = ""
    identity: str = ""
    mark: str = ""
    number: int = 0
    apart: bool = False
    typed: bool = False
    asked: Sequence[str] = ()
    idx: int = 0
    value: bytes | None = None

    @staticmethod
    def read(said: Mapping[str, Any], idx: int) -> Kept:
        """What a note of kind `step` says, in stored form. Earlier versions wrote a key and a
        value, or also `after`, which nobody needed."""
        value = serde.dumps_raw(said["value"]) if "value" in said else None
        call = {name: what for name, what in said.get("call", {}).items() if name != "after"}
        return Kept(key=said["key"], idx=idx, value=value, **call)


class Call:
    """One call, from when it is asked for. It is `apart` when another of its name ran beside it,
    and `doubtful` when it may be one of those on record, with another argument (`doubts`). `own`:
    the node's own line of code asks for it. `old`: it goes by its number alone."""

    __slots__ = (
        "apart",
        "doubtful",
        "function",
        "given",
        "held",
        "identity",
        "kept",
        "key",
        "mark",
        "name",
        "number",
        "old",
        "own",
    )

    def __init__(self, key: str, name: str, number: int, *, old: bool) -> None:
        self.key = key
        self.name = name
        self.number = number
        self.old = old
        self.identity = self.mark = ""
        self.own = self.apart = self.held = self.doubtful = False
        self.kept: Kept | None = None
        self.function: Callable[..., Any] | None = None
        self.given: Arguments | None = None

    @property
    def place(self) -> str:
        """What its questions are told apart by: one after another by their order, at once by what
        they are about."""
        return self.key if self.old or self.apart else f"{group_of(self.name)}#{self.number}"

    @property
    def seat(self) -> str:
        """Its place in a namespace: its name, and its number from the second on."""
        return self.name if self.number == 1 else f"{self.name}:{self.number}"

    @property
    def short(self) -> str:
        """What it is asked for, as a short text."""
        text = f"{self.identity}/{self.mark}".encode("utf-8", "backslashreplace")
        return hashlib.blake2b(text, digest_size=6).hexdigest()

    def describe(self, asked: Sequence[str]) -> dict[str, Any]:
        """What of it goes on record, for `Kept.read`."""
        said: dict[str, Any] = {"name": self.name, "identity": self.identity, "mark": self.mark}
        said["number"], said["typed"] = self.number, True
        if self.apart:
            said["apart"] = True
        if asked:
            said["asked"] = asked
        return said


def group_of(name: str) -> str:
    """Calls are counted by name; the graphs of a node, whose names begin with `|`, together."""
    return "|" if name[:1] == "|" else name
