"""What a call inside a node is told apart by: its arguments, and which function it is. Pure."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import math
import types
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import lru_cache, partial
from typing import Any
from uuid import UUID

import orjson

from runs.engine.errors import IdentityError
from runs.engine.names import as_text

_OPTIONS = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)

#: Values nested deeper than this are told apart by their type alone.
_DEEP = 60

#: Types that JSON has words for.
_PLAIN = (str, int, bool, type(None))
_NUMBERS_AND_TEXTS = frozenset({*_PLAIN, float})


@dataclasses.dataclass(frozen=True, slots=True)
class Arguments:
    """What a call is given. `digest` is the same for equal arguments, in any process; it is not
    `exact` when something in them is known by its type only, as a connection is. `older` is what
    an earlier version had as the digest, where that is another."""

    digest: str
    exact: bool
    given: Sequence[Any] = ()
    older: str = ""

    def same_objects(self, other: Arguments) -> bool:
        """Whether what two calls are given are the same objects."""
        pairs = zip(self.given, other.given, strict=False)
        return len(self.given) == len(other.given) and all(a is b for a, b in pairs)


def arguments_of(
    function: Callable[..., Any] | None, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Arguments:
    """What `function(*args, **kwargs)` is given; for a partial, also what is bound in it; for a
    lambda its defaults, which stand for what it is about (`lambda n=n: fetch(n)`); for a method the
    object that it is of, if that never changes (`path.read_text`)."""
    told: list[Any] = [list(args), dict(kwargs)]
    while isinstance(function, partial):
        told += [list(function.args), function.keywords]
        function = function.func
    if _never_changes(own := getattr(function, "__self__", None)):
        told.append([own])
    if getattr(function, "__name__", "") == "<lambda>":
        told += filter(None, [function.__defaults__, function.__kwdefaults__])  # type: ignore[union-attr]
    given = [item for one in told for item in (one.values() if isinstance(one, dict) else one)]
    return typed_digest(told, given=given)


def _never_changes(value: Any) -> bool:
    """Whether it is a class, a value of a common type that cannot change, or a frozen record."""
    if value is None or isinstance(value, types.ModuleType):  # of a function of C
        return False
    cls = type(value)
    if isinstance(value, (type, str, bytes, int, float, tuple, frozenset, Enum)):
        return True
    frozen = getattr(getattr(cls, "__dataclass_params__", None), "frozen", False)
    frozen = frozen or (getattr(cls, "model_config", None) or {}).get("frozen", False)
    return bool(frozen) or cls.__module__ in _BY_TEXT


def typed_digest(value: Any, *, given: Sequence[Any]) -> Arguments:
    """`digest`, which also tells values of two types with one JSON apart: a tuple from a list."""
    found = digest(value, given=given)
    try:
        if not _has_more_types(value):
            return found
    except RecursionError:  # `digest` has seen the types of it
        return found
    coarse: list[bool] = []
    encoded = orjson.dumps(_shown(value, coarse, 0))
    return Arguments(_short(encoded), not coarse, given, older=found.digest)


def digest(value: Any, *, given: Sequence[Any] = ()) -> Arguments:
    """`value` as a short text: the order of keys does not count, the order of a set neither."""
    coarse: list[bool] = []

    def other(item: Any) -> Any:
        return _shown(item, coarse, 0)

    try:
        encoded = orjson.dumps(value, default=other, option=_OPTIONS)
        if b"null" in encoded and _has_nan(value):  # JSON has one word for None and for NaN
            encoded = orjson.dumps(other(value))
    except (TypeError, ValueError, RecursionError):  # keys that are no text, a huge int, a circle
        coarse.clear()
        encoded = orjson.dumps(other(value))
    return Arguments(_short(encoded), not coarse, given)


def _short(encoded: bytes) -> str:
    return hashlib.blake2b(encoded, digest_size=12).hexdigest()


#: Types whose values have the JSON of others: of a list, a text, and whatever a member stands for.
_SAME_JSON = (tuple, UUID, Enum)


def _has_more_types(value: Any) -> bool:
    """Whether something in lists and mappings looks in JSON as a value of another type does."""
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list):
        return isinstance(value, _SAME_JSON)
    kinds = set(map(type, value))
    return not kinds.issubset(_NUMBERS_AND_TEXTS) and any(map(_has_more_types, value))


def _has_nan(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, Mapping):
        return any(map(_has_nan, value.values()))
    return isinstance(value, (list, tuple)) and any(map(_has_nan, value))


def _shown(value: Any, coarse: list[bool], depth: int) -> Any:
    """`value` as plain JSON, with the types that JSON does not have; `coarse` gets an item for
    all of which there is the type only."""
    kind = type(value)
    if kind is str:
        return value.encode("utf-8", "backslashreplace").decode()
    if kind in _PLAIN or (kind is float and math.isfinite(value)):
        return value if kind is not int or -(2**63) <= value < 2**63 else ["int", str(value)]
    name = f"{kind.__module__}.{kind.__qualname__}"
    if depth > _DEEP:
        coarse.append(True)
        return [name]
    if (parts := _parts(value)) is not None:
        return [name, *(_shown(part, coarse, depth + 1) for part in parts)]
    if isinstance(value, (Mapping, set, frozenset)):
        items = value.items() if isinstance(value, Mapping) else value
        return [name, sorted((_shown(item, coarse, depth + 1) for item in items), key=orjson.dumps)]
    if callable(value) and hasattr(value, "__qualname__"):
        return [name, f"{getattr(value, '__module__', '')}.{value.__qualname__}"]
    return [name, *_fields(value, coarse, depth)]


def _parts(value: Any) -> Sequence[Any] | None:
    """What a value of a common type is made of."""
    if isinstance(value, (list, tuple)):
        return value
    if isinstance(value, Enum):
        return [value.name]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return [hashlib.blake2b(bytes(value), digest_size=12).hexdigest()]
    if isinstance(value, (str, int, float)):  # of a class of its own, or no JSON number
        return [repr(value)]
    if type(value).__module__ in _BY_TEXT:
        return [repr(value)]
    return None


#: What is of these modules says all of itself in its repr.
_BY_TEXT = frozenset({"datetime", "decimal", "fractions", "ipaddress", "pathlib", "uuid"})


def _fields(value: Any, coarse: list[bool], depth: int) -> list[Any]:
    """The fields of a dataclass, a pydantic model or any object that has only plain ones."""
    cls = type(value)
    if dataclasses.is_dataclass(cls):
        names = [field.name for field in dataclasses.fields(cls)]
    elif hasattr(cls, "model_fields"):
        names = list(cls.model_fields)
    else:
        return _attributes(value, coarse)
    found = {name: getattr(value, name, None) for name in names}
    return [[[name, _shown(item, coarse, depth + 1)] for name, item in sorted(found.items())]]


def _attributes(value: Any, coarse: list[bool]) -> list[Any]:
    """The attributes of an object of the user's, if all are public, and numbers or texts: others
    may hold what changes from call to call, as a connection does."""
    found = getattr(value, "__dict__", None)
    if not found or not all(n[:1] != "_" and type(i) in _PLAIN for n, i in found.items()):
        coarse.append(True)
        return []
    return [[[name, _shown(item, coarse, 0)] for name, item in sorted(found.items())]]


def mark_of(function: Callable[..., Any]) -> str:
    """Which function it is, as far as that is the same in every process: its name; of a lambda
    what it says as well."""
    while isinstance(function, partial):
        function = function.func
    cls = type(function)
    module = getattr(function, "__module__", None) or cls.__module__
    name = f"{module}.{getattr(function, '__qualname__', cls.__qualname__)}"
    if getattr(function, "__name__", "") != "<lambda>":
        return name
    return f"{name} {_said(function.__code__)}"


@lru_cache(1024)
def _said(code: types.CodeType) -> str:
    """The names and constants of a function, as a short text. Not its bytecode, which another
    version of Python has otherwise."""
    consts = [_said(c) if isinstance(c, types.CodeType) else c for c in code.co_consts]
    return digest([[c for c in consts if c is not None], list(code.co_names)]).digest


#: Made anew at every look; equal ones are of the same object.
_METHODS = (types.MethodType, types.MethodWrapperType, types.BuiltinMethodType)


def alike(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Whether two functions do the same when they are given the same, as far as can be seen."""
    while isinstance(one, partial) and isinstance(other, partial):
        one, other = one.func, other.func
    if one is other or (isinstance(one, _METHODS) and one == other):
        return True
    if getattr(one, "__self__", None) is not getattr(other, "__self__", None):
        return False
    one, other = getattr(one, "__func__", one), getattr(other, "__func__", other)
    if one is other:
        return True
    code = getattr(one, "__code__", None)
    if code is None or code is not getattr(other, "__code__", None):
        return False
    return _captured(one) == _captured(other)


def _captured(function: Any) -> list[Any]:
    """What a function holds beside its code: plain values as they are, all else by its id."""
    cells = []
    for cell in function.__closure__ or ():
        try:
            cells.append(cell.cell_contents)
        except ValueError:  # it has no value yet
            cells.append(None)
    return [(type(i), i) if type(i) in _PLAIN else id(i) for i in cells]


def takes_key(function: Callable[..., Any]) -> bool | None:
    """Whether `function` has a parameter `key` of its own that is not bound yet; None when it may
    have, since it takes any keyword or does not say."""
    if isinstance(function, partial) and "key" in function.keywords:
        return False
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    for parameter in parameters:
        if parameter.name == "key" and parameter.kind in (
            parameter.POSITIONAL_OR_KEYWORD,
            parameter.KEYWORD_ONLY,
        ):
            return True
    return None if any(p.kind is p.VAR_KEYWORD for p in parameters) else False


def split_key(
    what: str, function: Callable[..., Any], kwargs: dict[str, Any]
) -> tuple[str | None, dict[str, Any]]:
    """The `key=` that `what` is called with, and the other arguments. A function that has a
    parameter of that name keeps it; where nobody can tell, IdentityError says how to."""
    if "key" not in kwargs or (own := takes_key(function)):
        return None, kwargs
    if own is None:
        raise IdentityError(
            f"{what} is given key=, and its function may take a keyword of that name itself. If it "
            "is the function's, bind it: functools.partial(function, key=...). If it names this "
            "call, wrap the function in one that does not take any keyword."
        )
    rest = dict(kwargs)
    return checked_key(what, rest.pop("key")), rest


def checked_key(what: str, key: Any) -> str | None:
    """`key`, which is a text; or None, for no key."""
    if key is not None and (not isinstance(key, str) or not key):
        raise IdentityError(f"{what} is given key={key!r}; give a text that is not empty.")
    return None if key is None else as_text(key)
