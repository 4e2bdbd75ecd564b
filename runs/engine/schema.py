"""What a state type says: its keys, their channels, and JSON Schema for its values."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin

from .channels import Channel, LastValue, reducer
from .errors import InvalidGraphError
from .graph import StateView


def hints(state: Any) -> dict[str, Any]:
    """The annotations of a TypedDict, dataclass or pydantic model, by key."""
    if not hasattr(state, "__annotations__"):
        raise InvalidGraphError(
            f"{getattr(state, '__name__', state)} is not a state: give a TypedDict, a dataclass "
            "or a pydantic model, whose keys are the channels."
        )
    found = typing.get_type_hints(state, include_extras=True)
    return {key: _unwrap(hint) for key, hint in found.items() if not key.startswith("__")}


def channels(state: Any) -> dict[str, Channel]:
    """One channel per key of `state`: what `Annotated[T, reducer]` says, else the last value."""
    return {key: _channel(key, hint) for key, hint in hints(state).items()}


def together(known: Mapping[str, Channel], state: Any) -> dict[str, Channel]:
    """The channels that are known with those of one more schema, which may leave it to the others
    how a key is merged, but not say it otherwise."""
    found = dict(known)
    for key, channel in channels(state).items():
        if found.setdefault(key, channel) != channel and not isinstance(channel, LastValue):
            raise InvalidGraphError(
                f"Key {key!r} is merged in two ways: {getattr(state, '__name__', state)} annotates "
                "it otherwise than another schema of the graph. Give it one annotation."
            )
    return found


def view(state: Any) -> StateView:
    """How a node annotated with `state` sees the state."""
    is_plain = typing.is_typeddict(state) or state is dict
    return StateView(keys=tuple(hints(state)), build=dict if is_plain else state)


def build(kind: Any, given: Any) -> Any:
    """`given` as a `kind`: a mapping becomes the dataclass or model it is to be."""
    if kind is None or not isinstance(given, Mapping) or typing.is_typeddict(kind) or kind is dict:
        return given
    return kind(**given)


def json_schema(state: Any, *, partial: bool = False) -> dict[str, Any]:
    """JSON Schema for an input of type `state`, from its annotations. What they do not say is
    allowed. Required are the keys that the type requires: without a reducer, and of a dataclass
    without a default; of a TypedDict none when it is `partial`, filled in as a run goes on."""
    if hasattr(state, "model_json_schema"):
        return typing.cast(dict[str, Any], state.model_json_schema())
    found = hints(state)
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            key: {"title": key.replace("_", " ").capitalize(), **_json_type(hint)}
            for key, hint in found.items()
        },
        "additionalProperties": False,
    }
    required = [key for key in found if _is_required(state, key)]
    if required and not (partial and typing.is_typeddict(state)):
        schema["required"] = required
    return schema


def _is_required(state: Any, key: str) -> bool:
    if dataclasses.is_dataclass(state):
        (field,) = (each for each in dataclasses.fields(state) if each.name == key)
        return field.default is field.default_factory is dataclasses.MISSING
    hint = typing.get_type_hints(state, include_extras=True)[key]
    if get_origin(hint) in (Required, NotRequired):  # TypedDict itself overlooks it in a string
        return get_origin(hint) is Required
    # A reducer begins with an empty value of its own.
    return key in getattr(state, "__required_keys__", ()) and not _is_reduced(hint)


def _is_reduced(hint: Any) -> bool:
    return not isinstance(_channel("", hint), LastValue)


def _unwrap(hint: Any) -> Any:
    while get_origin(hint) in (Required, NotRequired):
        (hint,) = get_args(hint)
    return hint


def _channel(key: str, hint: Any) -> Channel:
    if get_origin(hint) is Annotated:
        annotation, *extras = get_args(hint)
        for extra in extras:
            kind = type(extra) if isinstance(extra, Channel) else extra
            if isinstance(kind, type) and issubclass(kind, Channel):
                return kind(key)
        if callable(extras[-1]) and not isinstance(extras[-1], type):
            _check_reducer(key, extras[-1])
            return reducer(key, annotation, typing.cast(Callable[[Any, Any], Any], extras[-1]))
    return LastValue(key)


def _check_reducer(key: str, reduce: Callable[..., Any]) -> None:
    try:
        inspect.signature(reduce).bind(None, None)
    except ValueError:  # some that are written in C do not say what they take
        return
    except TypeError:
        raise InvalidGraphError(
            f"The reducer of key {key!r} is called with two values, the present one and the new "
            f"one, and so it takes two values: {inspect.signature(reduce)} does not."
        ) from None


_JSON_NAMES: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


def _json_type(hint: Any) -> dict[str, Any]:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _json_type(args[0])
    if hint in _JSON_NAMES:
        return {"type": _JSON_NAMES[hint]}
    if origin is Literal:
        return {"enum": list(args)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_json_type(arg) for arg in args]}
    if hint is list or origin is list:
        return {"type": "array", "items": _json_type(args[0])} if args else {"type": "array"}
    if hint is dict or origin is dict:
        return {"type": "object"}
    if typing.is_typeddict(hint) or dataclasses.is_dataclass(hint):
        return json_schema(hint)
    return {}
