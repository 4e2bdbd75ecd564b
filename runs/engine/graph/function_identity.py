"""Which function a kept result is of: an identity that is made of the function's structure.

Two closures of one factory, two partials and two bound methods have one qualified name, and give
other results. So the identity holds the code, the defaults, and what closures, partials and
objects carry, as they are when the graph is built. Global variables and the code of functions that
it calls are not in it. An importable class goes by its name; one made at run time by what it
consists of. A part that holds something out of sight of Python (`object_state`) has no identity.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
import types
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import orjson

from runs.engine import serde
from runs.engine.errors import InvalidGraphError, NotStorableError
from runs.engine.graph import object_state
from runs.engine.graph.code_identity import code_of
from runs.engine.graph.graph import Branch, Graph, Node
from runs.engine.graph.identity_parts import (
    BUILTIN,
    CACHED,
    FIELD,
    HEAP_TYPE,
    ITEMS,
    OF_EVERY_CLASS,
    PARTS,
    VALUES,
    is_importable,
    is_of_engine,
    sorted_items,
)
from runs.engine.values import allowed


class _Nameless(Exception):
    """A part of a function has no stable identity."""

    def __init__(self, place: str, part: object) -> None:
        super().__init__(place)
        self.place = place
        self.part = part


def check_identity(who: str, node: Node, channels: Mapping[str, Any] | None = None) -> str:
    """The identity of `node`, which has a cache policy. InvalidGraphError when a part of its
    function has none (a lock, a client) and no `key_func` says what to go by; with one, such parts
    count by their class. `channels` are the keys that a graph in a node writes its results to."""
    assert node.cache is not None
    key_func = node.cache.key_func
    found = _Structure(strict=key_func is None)
    try:
        parts = [found.of("it", node.run)]
    except _Nameless as nameless:
        kind = type(nameless.part)
        raise InvalidGraphError(
            f"{who} has a cache policy, but its function cannot be told from others: "
            f"{nameless.place} is a {kind.__module__}.{kind.__qualname__}, which has no stable "
            "identity. Say what its results are kept by with CachePolicy(key_func=...), or make it "
            "a function that does not carry this."
        ) from None
    if key_func is not None:
        parts.append(found.of("its key_func", key_func))
    if node.subgraph is not None:
        parts.append(sorted(channels or ()))
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:32]


def canonical(encoded: bytes) -> bytes:
    """The same bytes for equal values: what `serde.dumps` wrote, with mappings in one order."""
    return orjson.dumps(_sorted(orjson.loads(encoded)), option=orjson.OPT_SORT_KEYS)


def _sorted(value: Any) -> Any:
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: _sorted(item) for key, item in value.items()}
    if value.get("$type") == "dict":  # the keys are no texts: a list of pairs
        value["value"].sort(key=lambda pair: orjson.dumps(pair, option=orjson.OPT_SORT_KEYS))
    return value


class _Structure:
    """Describes functions, and what they carry, as nested lists of texts."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._around: list[int] = []  # what is being described, by id

    def of(self, place: str, value: Any) -> Any:
        """The description of `value`, which stands at `place` (for the message)."""
        if id(value) in self._around:  # it refers to itself
            return ["again", self._around.index(id(value))]
        self._around.append(id(value))
        try:
            return self._described(place, value)
        finally:
            self._around.pop()

    def _described(self, place: str, value: Any) -> Any:
        kind = type(value)
        if kind in VALUES:
            try:
                return ["value", canonical(serde.dumps(value)).decode()]
            except NotStorableError:  # as of text that is no Unicode
                return self._nameless(place, value)
        if kind in ITEMS:
            items = self._each(f"an item of {place}", value)
            ordered = issubclass(kind, (list, tuple))
            return [kind.__name__, items if ordered else sorted(items, key=orjson.dumps)]
        if kind in (dict, types.MappingProxyType):
            return ["dict", self._items(f"an item of {place}", value)]
        if isinstance(value, type):
            return self._class(place, value)
        if isinstance(value, types.ModuleType):
            known = sys.modules.get(value.__name__) is value
            return ["module", value.__name__] if known else self._nameless(place, value)
        if isinstance(value, BUILTIN):
            return self._builtin(place, value)
        if isinstance(value, types.FunctionType):
            return self._function(place, value)
        if kind in PARTS:
            parts = self._each(f"what {place} is made of", [getattr(value, p) for p in PARTS[kind]])
            return [kind.__name__, *parts]
        if kind is FIELD:
            return ["field"]
        if isinstance(value, Enum):
            return ["member", self.of(place, kind), value.name, self.of(place, value.value)]
        return self._object(place, value)

    def _builtin(self, place: str, value: Any) -> Any:
        name = [type(value).__name__, getattr(value, "__module__", None), value.__qualname__]
        owner = getattr(value, "__self__", None) or getattr(value, "__objclass__", None)
        if owner is None or isinstance(owner, types.ModuleType):
            return ["builtin", name]
        return ["builtin", name, self.of(f"what {place} is bound to", owner)]  # as `items.append`

    def _class(self, place: str, cls: type) -> Any:
        """By its name, if that leads to it. Else others of its name may differ, and it is what it
        consists of."""
        name = [cls.__module__, cls.__qualname__]
        if not cls.__flags__ & HEAP_TYPE or is_importable(cls):
            return ["class", name]
        loose = _Structure(strict=False)
        loose._around = self._around
        held: dict[str, Any] = {}
        said: dict[str, Any] = {}
        for key, part in vars(cls).items():
            if key in OF_EVERY_CLASS:
                continue
            # What a library keeps with a class for itself, as pydantic its validators.
            own = key.startswith("__") and not isinstance(part, types.FunctionType)
            (said if own else held)[key] = part
        bases = [self.of(place, base) for base in (type(cls), *cls.__bases__)]
        attribute = f"an attribute of {place}"
        return ["class", name, bases, self._items(attribute, held), loose._items(attribute, said)]

    def _function(self, place: str, function: types.FunctionType) -> Any:
        cells: dict[str, Any] = {}
        code = function.__code__
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            variable = f"its variable {name!r}"
            try:
                held = cell.cell_contents
            except ValueError:  # no value yet: a function that is being decorated calls itself
                is_itself = name == function.__name__
                cells[name] = is_itself or self._nameless(f"{variable} (without a value)", cell)
            else:
                cells[name] = self.of(variable, held)
        return [
            "function",
            [function.__module__, function.__qualname__],
            code_of(code),
            self._each(f"a default of {place}", function.__defaults__ or ()),
            self._items(f"a default of {place}", function.__kwdefaults__ or {}),
            cells,
            self._items(f"an attribute of {place}", vars(function)),
        ]

    def _object(self, place: str, value: Any) -> Any:
        cls = type(value)
        graph = value if isinstance(value, Graph) else inspect.getattr_static(value, "graph", None)
        if isinstance(graph, Graph) and (graph is value or is_of_engine(cls)):
            return self._graph(place, graph)
        wrapped = inspect.getattr_static(value, "__wrapped__", None)
        if wrapped is not None and is_of_engine(cls):  # a task: it gives what its function gives
            return ["task", self.of(place, wrapped)]
        if not allowed.is_allowed(cls):
            return self._held(place, value)
        exact = _Structure(strict=True)
        exact._around = self._around
        try:
            return exact._held(place, value)
        except _Nameless:
            try:  # it is stored, and comes back the same, without the part that has no name
                stored = canonical(serde.dumps(value)).decode()
            except NotStorableError:
                return self._held(place, value)
            return ["stored", self.of(place, cls), self._call(place, cls), stored]

    def _held(self, place: str, value: Any) -> Any:
        """An object by its class and all that it holds."""
        cls = type(value)
        attributes = object_state.attributes_of(value)
        contents = None
        if cls is not CACHED:
            try:
                contents = object_state.contents_of(value)
            except LookupError:
                return self._nameless(place, value)
            if cls is object:
                return self._nameless(place, value)
        return [
            "object",
            self.of(place, cls),
            self._call(place, cls),
            self._contents(place, contents),
            self._items(f"an attribute of {place}", attributes),
        ]

    def _contents(self, place: str, contents: Any) -> Any:
        if isinstance(contents, object_state.Called):
            argument = f"an argument of {place}"
            args, named = self._each(argument, contents.args), contents.keywords
            return [self.of(place, contents.function), args, self._items(argument, named)]
        return self.of(place, contents)

    def _call(self, place: str, cls: type) -> Any:
        called = inspect.getattr_static(cls, "__call__", None)
        return self.of(place, called) if isinstance(called, types.FunctionType) else None

    def _graph(self, place: str, graph: Graph) -> Any:
        if graph.keeps:  # what it gives depends on its thread, too
            return self._nameless(f"{place}, which keeps its state,", graph)

        def step(what: Node | Branch, function: Callable[..., Any]) -> Any:
            seen = [] if what.view is None else list(what.view.keys)
            paths = self.of(f"the path_map of {what.name!r}", getattr(what, "path_map", None))
            return [what.name, self.of(f"{what.name!r} in {place}", function), seen, paths]

        return [
            "graph",
            graph.name,
            [
                [name, type(one).__qualname__, self._reducer(one)]
                for name, one in sorted_items(graph.channels)
            ],
            [step(node, node.run) for _, node in sorted_items(graph.nodes)],
            [[source, list(targets)] for source, targets in sorted_items(graph.edges)],
            [
                [source, [step(one, one.route) for one in some]]
                for source, some in sorted_items(graph.branches)
            ],
            sorted([*sources, target] for sources, target in graph.joins),
            [sorted(graph.deferred), list(graph.input_keys), list(graph.output_keys)],
        ]

    def _reducer(self, channel: Any) -> Any:
        reduce = getattr(channel, "reduce", None)
        return None if reduce is None else self.of(f"the reducer of {channel.name!r}", reduce)

    def _each(self, place: str, values: Any) -> list[Any]:
        return [self.of(place, value) for value in values]

    def _items(self, place: str, values: Mapping[Any, Any]) -> list[Any]:
        pairs = [
            [self.of(place, key), self.of(f"{place} ({key!r})", value)]
            for key, value in values.items()
        ]
        return sorted(pairs, key=orjson.dumps)

    def _nameless(self, place: str, part: object) -> Any:
        if self._strict:
            raise _Nameless(place, part)
        return ["?", type(part).__module__, type(part).__qualname__]
