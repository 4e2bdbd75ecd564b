"""What is the same, and what only has the same name: kept results, waiting edges, tasks."""

from __future__ import annotations

import asyncio
import functools
import itertools
import math
import operator
import random
import threading
import types
from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Iterator
from dataclasses import dataclass, field, make_dataclass
from enum import Enum
from typing import Annotated, Any, ClassVar, TypedDict

import pytest
from pydantic import BaseModel

from runs.engine import (
    END,
    START,
    CachePolicy,
    Command,
    InMemoryCache,
    InvalidGraphError,
    InvalidUpdateError,
    MemoryJournal,
    Send,
    StateGraph,
    entrypoint,
    serde,
    task,
)
from runs.engine.checkpoint import Frontier
from runs.engine.execution.caching import key_of_call
from runs.engine.superstep.update import join_key
from runs.engine.values import allowed

CALLS: list[Any] = []


@pytest.fixture(autouse=True)
def no_calls() -> None:
    CALLS.clear()


class State(TypedDict, total=False):
    x: Any
    y: Any
    log: Annotated[list[Any], operator.add]


def closure(n: int) -> Any:
    def node(state: State) -> Any:
        CALLS.append(n)
        return {"x": n}

    return node


def nested(n: int) -> Any:
    inner = closure(n)

    @functools.wraps(inner)
    def node(state: State) -> Any:
        return inner(state)

    return node


def defaulted(n: int) -> Any:
    def node(state: State, *, number: int = n) -> Any:
        return {"x": number}

    return node


def applied(state: State, number: int = 0, *, base: int = 0) -> Any:
    return {"x": number + base}


def writes_x(state: Any) -> Any:
    return {"x": 1}


def unused(state: State, number: object = 0) -> Any:
    return {"x": 1}


class Bound:
    def __init__(self, n: int) -> None:
        self.n = n

    def node(self, state: State) -> Any:
        return {"x": self.n}

    def __call__(self, state: State) -> Any:
        return {"x": self.n}


def local_class(n: int) -> Any:
    class Local:
        def __call__(self, state: State) -> Any:
            return {"x": n}

    return Local()


def graph(n: int) -> Any:
    return StateGraph(State).add_node("in", closure(n)).add_edge(START, "in").compile()


def routed(n: int) -> Any:
    builder = (
        StateGraph(State).add_node("one", lambda s: {"x": 1}).add_node("two", lambda s: {"x": 2})
    )
    route = {1: lambda s: "one", 2: lambda s: "two"}[n]
    return builder.add_conditional_edges(START, route, ["one", "two"]).compile()


def cached(function: Any, cache: Any, policy: CachePolicy | None = None, name: str = "n") -> Any:
    builder = StateGraph(State).add_node(name, function, cache_policy=policy or CachePolicy())
    return builder.add_edge(START, name).compile(cache=cache)


@pytest.mark.parametrize(
    "make",
    [
        closure,
        nested,
        defaulted,
        lambda n: functools.partial(applied, number=n),
        lambda n: functools.partial(applied, base=n),
        lambda n: Bound(n).node,
        Bound,
        local_class,
        graph,
        routed,
        lambda n: functools.partial(Bound(n).node),
    ],
    ids=list("cndpbmolgrx"),
)
@pytest.mark.parametrize("by_key", [False, True])
async def test_functions_of_one_name_do_not_share_kept_results(make: Any, by_key: bool) -> None:
    cache = InMemoryCache()
    policy = CachePolicy(key_func=lambda state: "same") if by_key else None
    for n in (1, 2, 1):
        assert (await cached(make(n), cache, policy).ainvoke({}))["x"] == n
    keys = set(cache._kept)
    assert len(keys) == 2  # and what has the same structure shares them


async def test_lambdas_of_one_place_do_not_share_kept_results() -> None:
    cache = InMemoryCache()
    one, two = (lambda s: {"x": 1}), (lambda s: {"x": 2})
    assert one.__qualname__ == two.__qualname__
    assert [(await cached(each, cache).ainvoke({}))["x"] for each in (one, two)] == [1, 2]


async def test_changed_code_of_one_name_is_called_again() -> None:
    cache, found = InMemoryCache(), []
    for body in ("return {'x': 1}", "return {'x': 2}", "return {'x': 1 + 1}"):
        names: dict[str, Any] = {"__name__": "app"}
        exec(f"def node(state):\n    {body}", names)
        found.append((await cached(names["node"], cache).ainvoke({}))["x"])
    assert found == [1, 2, 2]


async def test_names_with_separators_do_not_share_kept_results() -> None:
    cache = InMemoryCache()
    for name, node in (("a/b", "c"), ("a", "b/c"), ("a%2Fb", "c")):
        builder = StateGraph(State).add_node(node, closure(1), cache_policy=CachePolicy())
        await builder.add_edge(START, node).compile(name=name, cache=cache).ainvoke({})
    assert len(CALLS) == 3


class Holder:
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def node(self, state: State) -> Any:
        return {"x": 1}


def with_variable(held: Any) -> Any:
    return lambda state: {"x": held and 1}


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (Holder().node, "'lock'.* is a _thread.lock"),
        (functools.partial(unused, number=object()), "an argument of it .*is a builtins.object"),
        (with_variable(threading.Lock()), "its variable 'held' is a _thread.lock"),
        (with_variable([1, {"a": iter(())}]), "is a builtins.tuple_iterator"),
        (with_variable(asyncio.Event), None),
        (with_variable(math.floor), None),
    ],
    ids=["method", "partial", "variable", "deep", "class", "builtin"],
)
def test_function_without_a_stable_identity_is_refused_when_the_graph_is_built(
    function: Any, said: str | None
) -> None:
    if said is None:
        cached(function, InMemoryCache())
        return
    with pytest.raises(InvalidGraphError, match=rf"Node 'n' has a cache policy.*{said}.*key_func"):
        cached(function, InMemoryCache())
    made = cached(function, InMemoryCache(), CachePolicy(key_func=lambda state: 1))
    assert made.invoke({})["x"] == 1


def test_task_without_a_stable_identity_is_refused_when_it_is_decorated() -> None:
    lock = threading.Lock()
    with pytest.raises(InvalidGraphError, match=r"Task 'use' .*'lock' is a _thread.lock.*key_func"):

        @task(cache_policy=CachePolicy())
        def use(n: int) -> Any:
            return lock


def test_graph_that_keeps_its_state_has_no_kept_results() -> None:
    inner = StateGraph(State).add_node("in", closure(1)).add_edge(START, "in").compile(True)
    with pytest.raises(InvalidGraphError, match="which keeps its state"):
        cached(inner, InMemoryCache())


def test_task_that_calls_itself_may_have_a_cache() -> None:
    @task(cache_policy=CachePolicy())
    async def again(n: int) -> int:
        return n if n == 0 else 1 + await again(n - 1)

    @entrypoint()
    async def flow(n: int) -> Any:
        return await again(n)

    assert flow.invoke(3) == 3


@pytest.mark.parametrize("ttl", [-1, -0.001, math.nan, True, "1", -math.inf])
def test_ttl_that_is_no_time_is_refused(ttl: Any) -> None:
    with pytest.raises(InvalidGraphError, match="Node 'n' has a cache_policy with ttl="):
        cached(closure(1), InMemoryCache(), CachePolicy(ttl=ttl))
    with pytest.raises(InvalidGraphError, match="Task 'applied' has a cache_policy with ttl="):
        task(cache_policy=CachePolicy(ttl=ttl))(applied)


async def later(state: State) -> int:
    return 1


@pytest.mark.parametrize("key_func", ["x", 5, later])
def test_key_func_that_is_no_sync_function_is_refused(key_func: Any) -> None:
    with pytest.raises(InvalidGraphError, match="Node 'n' has a cache_policy with key_func="):
        cached(closure(1), InMemoryCache(), CachePolicy(key_func=key_func))


@serde.allow
@dataclass(frozen=True)
class Point:
    x: Any


@serde.allow
@dataclass(frozen=True)
class Spot:
    x: Any


@serde.allow
class Place(BaseModel):
    x: Any


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (0, False),
        (1, "1"),
        (0.0, -0.0),
        (None, "null"),
        ("a", b"a"),
        ([1], (1,)),
        ([], {}),
        ({1}, [1]),
        ({"1": 1}, {1: 1}),
        (Point(1), Spot(1)),
        (Point(1), Place(x=1)),
        (Point(1), {"x": 1}),
        ({"$type": "tuple", "value": [1]}, (1,)),
        (math.inf, -math.inf),
    ],
    ids=str,
)
@pytest.mark.parametrize("how", ["state", "send", "task"])
async def test_inputs_that_differ_do_not_share_a_kept_result(
    one: Any, other: Any, how: str
) -> None:
    for given in (one, other, one, other):
        await _call(how, given)
    assert len(CALLS) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1: {"a": 1, "b": 2}, 2: 3}, {2: 3, 1: {"b": 2, "a": 1}}),
        ({(1, "x"): 1, None: 2}, {None: 2, (1, "x"): 1}),
        ({"a", "b", "c", 1}, {1, "c", "b", "a"}),
        ([{"x": {3, 1}}], [{"x": {1, 3}}]),
        (math.nan, -math.nan),
        (2**70, 2**70),
    ],
    ids=["dict", "keys", "pairs", "set", "nested", "nan", "large"],
)
@pytest.mark.parametrize("how", ["state", "send", "task"])
async def test_inputs_that_are_equal_share_a_kept_result(one: Any, other: Any, how: str) -> None:
    await _call(how, one)
    await _call(how, other)
    assert len(CALLS) == 1


SHARED: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def no_cache() -> None:
    SHARED["cache"] = InMemoryCache()


def count(state: Any) -> Any:
    CALLS.append(state)
    return {"y": 1}


@task(cache_policy=CachePolicy())
def counted(given: Any) -> int:
    CALLS.append(given)
    return 1


async def _call(how: str, given: Any) -> None:
    if how == "task":

        @entrypoint(cache=SHARED["cache"])
        async def flow(_: int) -> Any:
            return await counted(given)

        await flow.ainvoke(1)
    elif how == "state":
        await cached(count, SHARED["cache"]).ainvoke({"x": given})
    else:
        builder = StateGraph(State).add_node("n", count, cache_policy=CachePolicy())
        builder.add_conditional_edges(START, lambda s: [Send("n", given)], ["n"])
        await builder.compile(cache=SHARED["cache"]).ainvoke({})


async def test_calls_of_a_task_with_the_same_arguments_share_a_kept_result() -> None:
    @task(cache_policy=CachePolicy())
    async def add(a: int, b: int = 0, **more: int) -> int:
        CALLS.append(a)
        return a + b

    @entrypoint()
    async def flow(_: int) -> Any:
        return [await add(1, 2), await add(1, b=2), await add(b=2, a=1), await add(2, b=1)]

    assert await flow.ainvoke(1) == [3, 3, 3, 3]
    assert CALLS == [1, 2]


async def test_a_call_that_the_function_refuses_says_so() -> None:
    assert key_of_call(graph(1).graph, counted._node, (1, 2, 3), {})

    @entrypoint()
    async def flow(_: int) -> Any:
        return await counted(1, 2, 3)

    with pytest.raises(TypeError, match="positional"):
        await flow.ainvoke(1)


async def test_a_node_that_takes_the_config_has_a_result_for_each() -> None:
    def node(state: State, config: Any) -> Any:
        CALLS.append(1)
        return {"x": config["configurable"].get("user"), "y": config["metadata"].get("m")}

    made = cached(node, InMemoryCache())
    for user, m in ((1, 1), (2, 1), (1, 2), (1, 1)):
        config = {
            "configurable": {"user": user, "thread_id": f"t{len(CALLS)}"},
            "metadata": {"m": m},
        }
        out = await made.ainvoke({}, config)
        assert (out["x"], out["y"]) == (user, m)
    assert len(CALLS) == 3


class Part(TypedDict, total=False):
    x: Any


async def test_router_after_a_kept_result_sees_the_state_as_it_is() -> None:
    """The node reads x alone, its router y: what was kept does not say where the run goes on."""

    def node(state: Part) -> Any:
        CALLS.append(state)
        return {"log": ["n"]}

    builder = StateGraph(State).add_node("n", node, cache_policy=CachePolicy())
    for name in ("one", "two"):
        builder.add_node(name, lambda s, name=name: {"log": [name]})
    builder.add_edge(START, "n").add_conditional_edges("n", lambda s: s["y"], ["one", "two", END])
    made = builder.compile()
    for y, log in (("one", ["n", "one"]), ("two", ["n", "two"]), (END, ["n"])):
        assert (await made.ainvoke({"x": 1, "y": y}))["log"] == log
    assert len(CALLS) == 1


async def test_kept_command_goes_where_the_node_said() -> None:
    def node(state: Part) -> Any:
        CALLS.append(state)
        return Command(update={"x": 2}, goto=["two", Send("two", {"x": 5})])

    builder = StateGraph(State).add_node(
        "n", node, cache_policy=CachePolicy(), destinations=["two"]
    )
    builder.add_node("two", lambda s: {"log": [s["x"]]}).add_edge(START, "n")
    made = builder.compile()
    for _ in range(2):
        assert (await made.ainvoke({"x": 1}))["log"] == [2, 5]
    assert len(CALLS) == 1


async def test_kept_result_that_does_not_fit_the_graph_any_more_is_not_used() -> None:
    class Other(TypedDict, total=False):
        z: int

    def built(state: Any) -> Any:
        builder = StateGraph(state).add_node("n", writes_x, cache_policy=CachePolicy())
        return builder.add_edge(START, "n").compile(cache=SHARED["cache"])

    assert await built(Part).ainvoke({}) == {"x": 1}
    with pytest.raises(InvalidUpdateError, match="wrote to 'x', which is not a key"):
        await built(Other).ainvoke({})


async def test_key_func_that_changes_the_state_changes_nothing() -> None:
    policy = CachePolicy(key_func=lambda state: state["x"].append("key") or 1)
    made = cached(lambda state: {"y": state["x"]}, InMemoryCache(), policy)
    out = await made.ainvoke({"x": ["in"]})
    assert (out["x"], out["y"]) == (["in"], ["in"])


def joins(*edges: tuple[list[str], str]) -> StateGraph:
    builder = StateGraph(State)
    for name in sorted({name for sources, target in edges for name in (*sources, target)}):
        builder.add_node(name, lambda s, name=name: {"log": [name]})
    for sources, target in edges:
        builder.add_edge(sources, target)
    return builder


async def test_waiting_edges_whose_names_join_alike_wait_for_their_own() -> None:
    builder = joins((["a+b", "c"], "end"), (["a", "b+c"], "end"))
    for name in "de":
        builder.add_node(name, lambda s, name=name: {"log": [name]})
    names = [START, "a+b", "b+c", "d", "c", "e", "a"]
    for start, end in itertools.pairwise(names):
        builder.add_edge(start, end)
    out = await builder.compile().ainvoke({})
    assert out["log"] == ["a+b", "b+c", "d", "c", "e", "end", "a", "end"]


@pytest.mark.parametrize("names", [("a+b", "c"), ("a", "b"), ("%2B", "x+"), ("+", "++")])
async def test_waiting_edge_of_an_earlier_version_goes_on(names: tuple[str, str]) -> None:
    first, second = names
    builder = joins(([first, second], "end"))
    builder.add_edge(START, first).add_edge(first, second)
    journal, made = MemoryJournal(), builder.compile(interrupt_before=[second])
    await made.ainvoke({}, thread_id="t", journal=journal)
    kept = journal._threads["t"].checkpoints
    for checkpoint_id, checkpoint in kept.items():
        filled = serde.loads(checkpoint.frontier.dumps())
        if filled.pop("arrived", None):
            filled["arrived"] = {"+".join(sorted(names)) + ":end": [first]}
        object.__setattr__(checkpoint, "frontier", Frontier.loads(serde.dumps(filled)))
        kept[checkpoint_id] = checkpoint
    assert any(checkpoint.frontier.arrived for checkpoint in kept.values())
    out = await made.ainvoke(Command(), thread_id="t", journal=journal)

    assert out["log"] == [first, second, "end"]
    state = await made.aget_state("t", journal=journal)
    assert state.next == ()
    assert not any(kept[one].frontier.arrived for one in sorted(kept)[-1:])


def test_waiting_edge_of_plain_names_is_stored_as_before() -> None:
    assert join_key(("a", "b"), "c") == "a+b:c"


@pytest.mark.parametrize("name", ["a|b", "a:2", ":", "", "|"])
def test_task_whose_name_is_a_path_is_refused(name: str) -> None:
    async def work(n: int) -> int:
        return n

    if name:
        with pytest.raises(InvalidGraphError, match="leave out"):
            task(name=name)(work)
    assert task(name="a#1 b/c")(work)


def with_attribute(n: int) -> Any:
    def node(state: State) -> Any:
        return {"x": node.number}  # type: ignore[attr-defined]

    node.number = n  # type: ignore[attr-defined]
    return node


def partial_with_attribute(n: int) -> Any:
    def call(state: State, held: Any) -> Any:
        return {"x": held[0].number}

    held: list[Any] = []
    made = functools.partial(call, held=held)
    inner: Any = functools.partial(unused)
    inner.number = n
    held.append(inner)
    return made


def nothing(state: State) -> Any:
    return None


class Wrapper:
    def __init__(self, n: int) -> None:
        functools.update_wrapper(self, nothing)
        self.n = n

    def __call__(self, state: State) -> Any:
        return {"x": self.n}


class Slotted:
    __slots__ = ("n",)

    def __init__(self, n: int) -> None:
        self.n = n

    def __call__(self, state: State) -> Any:
        return {"x": self.n}


class SlottedBelow(Slotted):
    pass


class Text(str):
    n: int


class Items(list[int]):
    n: int


class Pairs(dict[str, int]):
    n: int


class Bytes(bytes):
    n: int


class Unordered(set[int]):
    n: int


class Number(int):
    n: int


def told_of(read: Any, carried: Any) -> Any:
    def node(state: State) -> Any:
        return {"x": read(carried)}

    return node


def number_of(carried: Any) -> Any:
    return carried.n


def with_number(carried: Any, n: int) -> Any:
    carried.n = n
    return told_of(number_of, carried)


def one_of_set(carried: Any) -> Any:
    return min(carried)


def made_there(carried: Any) -> Any:
    return carried().n


def missing_of(carried: Any) -> Any:
    return carried.default_factory()


def give_one() -> int:
    return 1


def give_two() -> int:
    return 2


def paths(n: int) -> Any:
    builder = StateGraph(State)
    for k in (1, 2):
        builder.add_node(str(k), functools.partial(applied, number=k))
    builder.add_conditional_edges(START, nothing, {None: str(n), 5: "1", 6: "2"})
    return builder.compile()


@pytest.mark.parametrize(
    "make",
    [
        with_attribute,
        partial_with_attribute,
        Wrapper,
        Slotted,
        SlottedBelow,
        lambda n: with_number(Text("a"), n),
        lambda n: with_number(Items(), n),
        lambda n: with_number(Pairs(), n),
        lambda n: with_number(Bytes(), n),
        lambda n: with_number(Unordered(), n),
        lambda n: with_number(Number(5), n),
        lambda n: with_number(OrderedDict(), n),
        lambda n: told_of(int.from_bytes, Bytes([n])),
        lambda n: told_of(one_of_set, Unordered({n})),
        lambda n: told_of(next, Counting(n)),
        lambda n: told_of(missing_of, defaultdict({1: give_one, 2: give_two}[n])),
        lambda n: told_of(made_there, make_dataclass("D", [("n", int, n)])),
        lambda n: told_of(made_there, type("D", (), {"n": n})),
        lambda n: told_of(made_there, namedtuple("D", "n", defaults=[n])),
        lambda n: with_enum(n),
        lambda n: told_of(next_of, OrderedDict([(n, 0), (3 - n, 0)])),
        paths,
    ],
    ids=[f"{number}" for number in range(22)],
)
@pytest.mark.parametrize("by_key", [False, True])
async def test_what_a_function_carries_out_of_sight_tells_it_from_others(
    make: Any, by_key: bool
) -> None:
    cache = InMemoryCache()
    policy = CachePolicy(key_func=lambda state: "same") if by_key else None
    found = [(await cached(make(n), cache, policy).ainvoke({}))["x"] for n in (1, 2, 1)]
    assert found == [1, 2, 1]
    assert len(cache._kept) == 2


@pytest.mark.parametrize(
    "carried",
    [
        random.Random(1),
        ValueError(1),
        types.ModuleType("made"),
        type("Own", (random.Random,), {})(1),
        type("Own", (threading.local,), {})(),
        type("Own", (), {"part": random.Random(1)}),
        functools.partial(unused, number=random.Random(2)),
    ],
    ids=["random", "error", "module", "subclass", "local", "class", "deep"],
)
def test_function_that_carries_hidden_state_is_refused(carried: Any) -> None:
    with pytest.raises(InvalidGraphError, match=r"no stable identity.*key_func"):
        cached(with_variable(carried), InMemoryCache())
    made = cached(with_variable(carried), InMemoryCache(), CachePolicy(key_func=lambda state: 1))
    assert made.invoke({})["x"] == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: re_made_class(),
        lambda: make_dataclass("D", [("n", list[int], field(default_factory=list))]),
        lambda: namedtuple("D", "a b"),
        lambda: Enum("E", "A B"),
        lambda: type("M", (BaseModel,), {"__annotations__": {"n": int}, "n": 1}),
        lambda: TypedDict("T", {"n": int}),  # type: ignore[operator]
        lambda: {"a": Wrapper(1), "b": [Slotted(2)], "c": {Place, Point}},
        lambda: Place(x=1),
        lambda: list[int] | None,
        lambda: math,
        lambda: counted,
        lambda: functools.lru_cache(unused),
    ],
    ids=[f"{number}" for number in range(12)],
)
async def test_what_is_made_alike_shares_kept_results(make: Any) -> None:
    cache = InMemoryCache()
    for _ in range(2):
        await cached(with_variable(make()), cache).ainvoke({})
    assert len(cache._kept) == 1


def re_made_class() -> Any:
    class Local:
        names: ClassVar[list[str]] = ["a"]

        @property
        def one(self) -> int:
            return 1

        @functools.cached_property
        def two(self) -> int:
            return 2

        @staticmethod
        def three() -> int:
            return 3

        @classmethod
        def four(cls) -> int:
            return 4

    return Local


class Counting(Iterator[int]):
    __slots__ = ("__n",)

    def __init__(self, n: int) -> None:
        self.__n = n

    def __next__(self) -> int:
        return self.__n


def next_of(carried: Any) -> Any:
    return next(iter(carried))


def value_of_member(carried: Any) -> Any:
    return carried.A.value


def with_enum(n: int) -> Any:
    return told_of(value_of_member, Enum("E", {"A": n}))


@pytest.mark.parametrize("how", ["task", "write", "send"])
async def test_kept_result_of_a_class_that_is_gone_is_made_anew(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: dict[str, Any] = dict(allowed._allowed)
    monkeypatch.setattr(allowed, "_allowed", known)
    made: list[Any] = [serde.allow(make_dataclass("Gone", ["x"]))(1)]

    @task(cache_policy=CachePolicy(key_func=lambda: 1))
    async def give() -> Any:
        CALLS.append(1)
        return made[0]

    def node(state: Any) -> Any:
        CALLS.append(1)
        return {"x": made[0]} if how == "write" else Command(goto=Send("take", made[0]))

    @entrypoint(cache=SHARED["cache"])
    async def flow(_: int) -> Any:
        await give()

    policy = CachePolicy(key_func=lambda state: 1)
    builder = StateGraph(State).add_node("n", node, cache_policy=policy)
    builder.add_node("take", lambda s: None).add_edge(START, "n")
    graph: Any = flow if how == "task" else builder.compile(cache=SHARED["cache"])
    given: Any = 1 if how == "task" else {}
    await graph.ainvoke(given)
    known.clear()
    made[0] = 2
    await graph.ainvoke(given)
    await graph.ainvoke(given)
    assert len(CALLS) == 2
