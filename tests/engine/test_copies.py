"""Copies: equal values that share no container."""

from __future__ import annotations

import operator
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, NamedTuple, TypedDict

import pytest
from pydantic import BaseModel, ConfigDict, PrivateAttr, RootModel

from runs.engine import START, Context, StateGraph, task
from runs.engine.checkpoint import Write
from runs.engine.values import copies
from runs.engine.values.copies import Values, copied, copied_containers


class Pair(NamedTuple):
    one: Any
    two: Any


@dataclass(slots=True, frozen=True)
class Slots:
    held: Any


@dataclass
class Plain:
    held: Any
    lock: Any = field(default_factory=threading.Lock, compare=False)


class Model(BaseModel):
    model_config = ConfigDict(extra="allow")
    held: Any
    _private: Any = PrivateAttr(default_factory=list)


class Colour(Enum):
    RED = 1


HELD: list[Any] = [1, {"a": {"b": [2]}}]


@pytest.mark.parametrize(
    "value",
    [
        [HELD],
        {"x": HELD, 1: "y"},
        (1, HELD),
        Pair(HELD, 1),
        deque([HELD], 3),
        defaultdict(list, x=HELD),
        OrderedDict(x=HELD),
        Slots(HELD),
        Plain(HELD),
        Model(held=HELD),
        Model.model_validate({"held": 1, "more": HELD}),
        [{"x": 1}, {"x": HELD}],
        [{"x": 1}, "y", [HELD]],
    ],
    ids=lambda value: f"{type(value).__name__} {value!r}"[:60],
)
def test_copy_is_equal_and_shares_no_container(value: Any) -> None:
    before = repr(value)
    copy = copied(value)
    assert (type(copy), copy) == (type(value), value)
    _change(copy)
    assert repr(value) == before != repr(copy)


def _change(value: Any) -> None:
    """Change every container in `value`, the innermost first."""
    if isinstance(value, dict):
        inner: list[Any] = [*value.values()]
    elif isinstance(value, (list, tuple, deque)):
        inner = [*value]
    elif isinstance(value, Model):
        inner = [value.held, *(value.model_extra or {}).values()]
    else:
        inner = [value.held] if hasattr(value, "held") else []
    for one in inner:
        _change(one)
    if isinstance(value, (list, deque)):
        value.append("changed")
    elif isinstance(value, dict):
        value["changed"] = True


@pytest.mark.parametrize("value", [[], {}, set(), {1}, Counter(a=1), [[]], [{}], bytearray(b"x")])
def test_empty_and_flat_containers_are_copied_too(value: Any) -> None:
    copy = copied(value)
    assert copy == value and copy is not value


def test_what_never_changes_and_what_has_an_owner_is_shared() -> None:
    lock, text = threading.Lock(), "x" * 100
    plain = Plain([1])
    for value in (lock, text, Colour.RED, (1, "x", None), frozenset({1}), Plain, print, ...):
        assert copied(value) is value
    assert copied(plain).lock is plain.lock
    assert copied_containers(plain) is plain
    assert copied_containers([plain, {"x": (plain, {1})}])[1]["x"][0] is plain


class Root(RootModel[list[int]]): ...


def test_a_root_model_has_no_more_attributes_than_it_had() -> None:
    assert copied(Root([1])).__dict__ == {"root": [1]}


@dataclass
class Tree:
    inside: list[Tree] = field(default_factory=list)
    around: Tree | None = field(default=None, repr=False)


class State(TypedDict, total=False):
    count: int


async def test_arguments_that_contain_themselves_are_shared() -> None:
    tree: Any = Tree()
    tree.inside.append(Tree(around=tree))
    circle: list[Any] = [tree]
    circle.append(circle)

    @task
    async def count(given: Tree, *more: Any) -> int:
        return len(given.inside)

    async def node(state: State, ctx: Context, config: Any) -> State:
        assert config["configurable"]["circle"][1][0] is tree
        many = [await count(tree), await count(tree, circle), await ctx.step("s", len, circle)]
        return {"count": sum(many)}

    graph = StateGraph(State).add_node(node).add_edge(START, "node").compile()
    assert await graph.ainvoke({}, {"configurable": {"circle": circle}}) == {"count": 4}


def test_private_attributes_of_a_model_are_copied() -> None:
    model = Model(held=1)
    model._private.append(1)
    copied(model)._private.append(2)
    assert model._private == [1]


@dataclass
class Hooked:
    """A record whose class has ideas of its own about copies."""

    held: Any
    _lock: Any = None

    def __copy__(self) -> Hooked:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {"held": ["state"]}

    def __reduce__(self) -> Any:
        return Hooked, (["reduced"],)


@dataclass
class Stateful:
    held: Any

    def __post_init__(self) -> None:
        self._lock = 7

    def __getstate__(self) -> dict[str, Any]:
        return {"held": self.held}


@dataclass(slots=True)
class HookedSlots:
    held: Any

    def __copy__(self) -> HookedSlots:
        return self


class HookedModel(BaseModel):
    held: Any
    _private: Any = PrivateAttr(default=None)

    def __copy__(self) -> HookedModel:
        return self


class Subpair(Pair):
    def __new__(cls, one: Any, two: Any) -> Subpair:
        raise AssertionError("No constructor is to run.")

    def __copy__(self) -> Subpair:
        return self


@dataclass
class Listed(list[Any]):
    held: Any = None

    def __copy__(self) -> Listed:
        return self


@dataclass
class Mapped(dict[str, Any]):
    held: Any = None

    def __copy__(self) -> Mapped:
        return self


@dataclass
class Failed(Exception):
    held: Any = None

    def __reduce__(self) -> Any:
        return Failed, (["reduced"],)


def subpair() -> Subpair:
    made = tuple.__new__(Subpair, ([1], 2))
    made.held = [1]  # type: ignore[attr-defined]
    return made


def listed() -> Listed:
    made = Listed([1])
    made.append([2])
    return made


def mapped() -> Mapped:
    made = Mapped([1])
    made["x"] = [2]
    return made


@pytest.mark.parametrize(
    "make",
    [
        lambda: Hooked([1], 7),
        lambda: Stateful([1]),
        lambda: HookedSlots([1]),
        lambda: HookedModel(held=[1]),
        subpair,
        listed,
        mapped,
        lambda: Failed([1]),
    ],
    ids=["copy", "getstate", "slots", "model", "named tuple", "list", "dict", "error"],
)
def test_copy_of_a_record_holds_what_it_held_whatever_hooks_its_class_has(make: Any) -> None:
    value = make()
    own = copied(value)
    assert type(own) is type(value)
    assert own is not value
    assert own.held == [1]
    assert own.held is not value.held
    assert getattr(own, "_lock", None) == getattr(value, "_lock", None)
    if isinstance(value, (list, tuple, dict)):
        assert list(own) == list(value)
        key: Any = "x" if isinstance(value, dict) else 0
        assert own[key] == value[key]
        assert own[key] is not value[key]


GROWN = {
    "numbers and a record": ([1, 2], [{"a": []}]),
    "records and a deep one": ([{"a": 1}], [{"a": [1]}]),
    "records and a number": ([{"a": 1}], [2]),
    "nothing and a record": ([], [{"a": []}]),
    "records and records": ([{"a": 1}], [{"a": 2}]),
}


@pytest.mark.parametrize(("first", "added"), GROWN.values(), ids=GROWN)
def test_a_list_that_has_grown_is_copied_as_what_is_in_it_now(
    first: list[Any], added: list[Any]
) -> None:
    values = Values({"seen": first})
    assert values.copy_of("seen") == first
    after = Values(values)
    after.put("seen", first + added, [Write(channel="seen", value=added, encoded=b"")])
    own = after.copy_of("seen")
    assert own == copied(own) == first + added
    for one, other in zip(own, first + added, strict=True):
        assert one is not other or isinstance(one, int)
        if isinstance(one, dict) and isinstance(one["a"], list):
            assert one["a"] is not other["a"]
    assert values.copy_of("seen") == first


def test_an_empty_list_that_is_added_lets_no_list_be_looked_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    records, more = [{"a": 1}], [{"a": 2}]
    values = Values({"seen": records})
    values.copy_of("seen")
    looked_at: list[Any] = []
    copier = copies.copier

    def counted(value: Any) -> Any:
        looked_at.append(value)
        return copier(value)

    monkeypatch.setattr(copies, "copier", counted)
    steps: list[list[Any]] = [[[]], [[], more], [[]]]
    for written in steps:
        value = [*values["seen"], *(item for added in written for item in added)]
        values.put("seen", value, [Write(channel="seen", value=v, encoded=b"") for v in written])
        assert (own := values.copy_of("seen")) == value
        assert own[0] is not value[0]
    assert looked_at == [more]


def test_another_value_is_copied_as_what_it_is() -> None:
    values = Values({"seen": [1]})
    values.copy_of("seen")
    value = [[2]]
    values.put("seen", value)
    assert values.copy_of("seen")[0] is not value[0]
    values.drop("seen")
    assert "seen" not in values


async def test_a_list_that_grows_at_each_step_is_not_looked_through_at_each_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Growing(TypedDict, total=False):
        seen: Annotated[list[int], operator.add]

    looked_at = 0

    def counted(value: Any) -> Any:
        nonlocal looked_at
        looked_at += len(value) if isinstance(value, list) else 0
        return copier(value)

    copier = copies.copier
    monkeypatch.setattr(copies, "copier", counted)

    async def see(state: Growing) -> Growing:
        return {"seen": [len(state["seen"])]}

    graph = StateGraph(Growing).add_node("see", see).add_edge(START, "see")
    graph.add_conditional_edges("see", lambda s: "see" if len(s["seen"]) < 300 else "__end__")
    out = await graph.compile().ainvoke({"seen": []}, recursion_limit=400)
    assert out["seen"] == list(range(300))
    assert looked_at < 3_000  # and not some 300 * 300 / 2
