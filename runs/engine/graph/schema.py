"""What a state type says: its keys, their channels, how its objects are made, and its defaults."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from runs.engine.annotations import conversions, type_hints
from runs.engine.annotations.constructors import check_aliases, maker
from runs.engine.annotations.field_defaults import default_of, same
from runs.engine.errors import InvalidGraphError
from runs.engine.graph import annotated_channels, messages
from runs.engine.graph.channels import Channel, LastValue
from runs.engine.graph.graph import StateView
from runs.engine.names import name_fault
from runs.engine.values.allowed import allow_annotated


def hints(state: Any) -> dict[str, Any]:
    """The annotations of a TypedDict, dataclass or pydantic model, by key."""
    kind = type_hints.class_of(state)
    is_dict = isinstance(kind, type) and issubclass(kind, dict) and hasattr(kind, "__annotations__")
    if not (is_dict or type_hints.is_record(kind)):
        raise InvalidGraphError(
            f"{getattr(state, '__name__', state)} is not a state: give a TypedDict, a dataclass "
            "or a pydantic model, whose keys are the channels."
        )
    return type_hints.hints(state)


def channels(state: Any) -> dict[str, Channel]:
    """One channel per key of `state`: what `Annotated[T, reducer]` says, else the last value."""
    found = type_hints.hints(state)
    for key, hint in found.items():
        _allow(hint)
        if fault := name_fault(key):
            raise InvalidGraphError(f"A state key cannot be called {key[:60]!r}: the name {fault}.")
        if key == "__interrupt__":
            raise InvalidGraphError(
                f"A state key cannot be called {key!r}: a graph answers its questions there."
            )
    return {key: annotated_channels.channel(key, hint) for key, hint in found.items()}


def _allow(hint: Any) -> None:
    """Let the objects be stored that nodes are given as the annotation says: they write them back,
    and send them on. Whoever annotates a state has said so."""
    kinds = conversions.classes(hint)
    for kind in kinds | messages.object_classes(kinds):
        allow_annotated(kind)


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


def view(
    state: Any, known: Mapping[str, Channel] | None = None, *, converts: bool = True
) -> StateView:
    """How a node annotated with `state` sees the state, whose channels are `known`. What it holds
    as JSON has it is converted to what the annotations say, unless the reader is not to see that
    (`converts`). Messages stay what they are, as their reducer knows both forms; a model is given
    those as objects that it annotates as LangChain's."""
    kind = type_hints.class_of(state)
    found = {} if kind is dict else type_hints.hints(state)
    if kind is dict or type_hints.is_typeddict(kind):
        build: Callable[..., Any] = dict
    else:
        _check_can_be_built(kind, found)
        build = maker(kind)
    made: dict[str, Callable[[Any], Any]] = {}
    for key, hint in found.items() if converts else ():
        channel = (known or {}).get(key) or annotated_channels.channel(key, hint)
        convert = _converter(kind, hint, is_message=channel.entry is not None)
        if convert is not None:
            conversions.classes(hint)  # reads their annotations while they can be found
            made[key] = convert
    return StateView(keys=tuple(found), build=build, convert=made)


def _converter(kind: Any, hint: Any, *, is_message: bool) -> Callable[[Any], Any] | None:
    is_model = type_hints.model_fields(kind) is not None
    if is_message:
        named = is_model and messages.object_classes(conversions.classes(hint))
        return messages.as_objects if named else None
    # A model does it itself; but a strict one takes nothing that came as JSON.
    if is_model and not getattr(kind, "model_config", {}).get("strict"):
        return None
    return conversions.converter(hint)


def read_types(kind: Any) -> None:
    """Read the annotations of the classes in a type while the names in them can be found: those of
    a function are gone when it has returned."""
    conversions.classes(kind)


def build(kind: Any, given: Any) -> Any:
    """`given` as a `kind`: a mapping becomes the dataclass or model it is to be. TypeError when a
    dataclass has other fields; a model raises its own ValidationError."""
    if kind is None or not isinstance(given, Mapping):
        return given
    convert = conversions.converter(kind)
    try:
        return given if convert is None else convert(given)
    except ValueError as error:
        if isinstance(error.__cause__, TypeError):
            raise TypeError(str(error)) from error.__cause__
        raise


def defaults(
    state: Any, known: Mapping[str, Channel], *, every: bool = False
) -> dict[str, Callable[[], Any]]:
    """How the reduced keys begin that the type gives a default of its own: what neither None nor
    the empty value of the channel is. With `every`, the other keys too: of an input type, whose
    defaults no node would see."""
    kind = type_hints.class_of(state)
    found: dict[str, Callable[[], Any]] = {}
    for key in type_hints.hints(state):
        channel, default = known[key], default_of(kind, key)
        if default is None or not (channel.many or every):
            continue
        value = default()
        if value is not None and not same(value, channel.initial()):
            found[key] = default
    return found


def _check_can_be_built(kind: Any, keys: Mapping[str, Any]) -> None:
    """Whether objects of the class can be made from its keys, as nodes are given them."""
    name, fields = kind.__name__, type_hints.model_fields(kind)
    initial = set(keys)
    if fields is not None:
        check_aliases(kind, fields)
        if getattr(kind, "__pydantic_root_model__", False):
            raise InvalidGraphError(
                f"{name} is a RootModel, which has no keys: give a model with fields."
            )
        return
    if dataclasses.is_dataclass(kind):
        initial = {field.name for field in dataclasses.fields(kind) if field.init}
    try:
        if inspect.isabstract(kind) or getattr(kind, "_is_protocol", False):
            raise TypeError("it is abstract")
        inspect.signature(kind).bind(**dict.fromkeys(initial))
    except ValueError:
        return
    except TypeError as error:
        raise InvalidGraphError(
            f"No {name} can be made from its keys, to hand it to a node: {error}. Give a default "
            "to what is no key (an InitVar, an argument of __init__), or use a TypedDict."
        ) from None
