"""JSON Schema for the values of a state type, from its annotations."""

from __future__ import annotations

import collections
import collections.abc
import contextlib
import math
import re
import typing
from collections.abc import Mapping, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from pathlib import PurePath
from typing import Any, Literal, get_args, get_origin
from uuid import UUID

from runs.engine.annotations import type_hints
from runs.engine.annotations.scalars import SCALARS
from runs.engine.annotations.shapes import DICTS, LISTS
from runs.engine.graph import model_aliases, schema
from runs.engine.graph.annotated_channels import channel
from runs.engine.graph.channels import Channel, LastValue
from runs.engine.plain_json import plain
from runs.engine.values.tags import ADDRESSES

Schema = dict[str, Any]


def json_schema(
    state: Any, *, partial: bool = False, known: Mapping[str, Channel] | None = None
) -> Schema:
    """JSON Schema for an input of type `state`, from its annotations. What they do not say is
    allowed, and so is any form of what a reducer of the `known` channels reads itself: messages.
    Required are the keys that the type requires: without a reducer, and of a dataclass without a
    default; of a TypedDict none when it is `partial`, filled in as a run goes on."""
    definitions: Schema = {}
    read = {key for key, channel in (known or {}).items() if channel.entry is not None}
    found = _object(state, definitions, root=True, read=read)
    if partial and type_hints.is_typeddict(type_hints.class_of(state)):
        found.pop("required", None)
    return {**found, "$defs": definitions} if definitions else found


def _object(
    state: Any, definitions: Schema, *, root: bool = False, read: Set[str] = frozenset()
) -> Schema:
    kind = type_hints.class_of(state)
    is_model = hasattr(kind, "model_json_schema")
    if is_model or (not root and type_hints.model_fields(kind) is not None):
        with contextlib.suppress(Exception):  # a field of a type that pydantic cannot describe
            return _of_model(kind, definitions, root=root, read=read)
    hints = schema.hints(state) if root else type_hints.field_hints(state)
    found: Schema = {
        "type": "object",
        "properties": {
            key: {
                "title": key.replace("_", " ").capitalize(),
                **(_list_of_any(hint) if key in read else _type(hint, definitions)),
            }
            for key, hint in hints.items()
        },
        "additionalProperties": False,
    }
    if required := [key for key, hint in hints.items() if _is_required(state, key, hint)]:
        found["required"] = required
    return found


def _list_of_any(hint: Any) -> Schema:
    core, _ = type_hints.peeled(hint)
    return {"type": "array"} if (get_origin(core) or core) in LISTS else {}


def _is_required(state: Any, key: str, hint: Any) -> bool:
    if not type_hints.is_required(state, key, hint):
        return False
    if not type_hints.is_typeddict(type_hints.class_of(state)):
        return True
    said = typing.get_origin(hint) is typing.Required
    # A reducer begins with an empty value of its own.
    return said or isinstance(channel(key, hint), LastValue)


def _of_model(kind: Any, definitions: Schema, *, root: bool, read: Set[str]) -> Schema:
    """What pydantic says of a model. The keys of a state are the names of its fields; objects in
    its values are given by their aliases."""
    template = f"#/$defs/{kind.__qualname__}.{{model}}"
    found = model_aliases.described(kind, template)
    inner = found.pop("$defs", {})
    definitions.update({f"{kind.__qualname__}.{name}": one for name, one in inner.items()})
    if not root:
        return found
    named: Schema = kind.model_json_schema(by_alias=False, ref_template=template)
    own = named.pop("$defs", {})
    if "$ref" in named:  # it names itself
        named = own[named["$ref"].removeprefix(template.format(model=""))]
    for key in read & named["properties"].keys():
        words = {k: v for k, v in named["properties"][key].items() if k in ("title", "description")}
        named["properties"][key] = {**words, **_list_of_any(type_hints.hints(kind)[key])}
    # The state has no other keys, whatever the model does with those it does not know.
    return {**named, "additionalProperties": False}


_NAMES: Mapping[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    None: {"type": "null"},
    date: {"type": "string", "format": "date"},
    datetime: {"type": "string", "format": "date-time"},
    time: {"type": "string", "format": "time"},
    timedelta: {"anyOf": [{"type": "string", "format": "duration"}, {"type": "number"}]},
    UUID: {"type": "string", "format": "uuid"},
    Decimal: {"anyOf": [{"type": "number"}, {"type": "string", "format": "decimal"}]},
    bytes: {"type": "string", "contentEncoding": "base64"},
    bytearray: {"type": "string", "contentEncoding": "base64"},
    # As pydantic names them; JSON Schema itself has the two of single addresses.
    **{
        kind: {"type": "string", "format": kind.__name__.lower().removesuffix("address")}
        for kind in ADDRESSES
    },
}
_SETS = frozenset({set, frozenset, collections.abc.Set, collections.abc.MutableSet})


def _type(hint: Any, definitions: Schema) -> Schema:
    core, _ = type_hints.peeled(hint)
    origin, args = get_origin(core) or core, get_args(core)
    if isinstance(core, typing.Hashable) and core in _NAMES:
        return dict(_NAMES[core])
    if written := type_hints.unions(core):
        return {"anyOf": [_type(member, definitions) for member in written]}
    if origin is Literal:
        return _enum([one.value if isinstance(one, Enum) else one for one in args])
    if origin is tuple:
        return _tuple(args, definitions)
    if origin in LISTS:
        found = (
            {"type": "array", "items": _type(args[0], definitions)} if args else {"type": "array"}
        )
        return {**found, "uniqueItems": True} if origin in _SETS else found
    if origin in DICTS:
        return _mapping((*args, int) if origin is collections.Counter else args, definitions)
    if type_hints.is_typeddict(origin) or type_hints.is_record(origin):
        return _reference(core, definitions)
    if isinstance(origin, type) and issubclass(origin, Enum):
        return {"type": "integer"} if issubclass(origin, Flag) else _enum([m.value for m in origin])
    if isinstance(origin, type) and issubclass(origin, PurePath):
        return {"type": "string"}
    return {}


def _tuple(args: tuple[Any, ...], definitions: Schema) -> Schema:
    if len(args) == 2 and args[1] is ...:
        return {"type": "array", "items": _type(args[0], definitions)}
    if not args:
        return {"type": "array"}
    size = {"minItems": len(args), "maxItems": len(args)}
    return {"type": "array", "prefixItems": [_type(arg, definitions) for arg in args], **size}


def _mapping(args: tuple[Any, ...], definitions: Schema) -> Schema:
    values = _type(args[1], definitions) if len(args) == 2 else {}
    return {"type": "object", "additionalProperties": values} if values else {"type": "object"}


def _reference(core: Any, definitions: Schema) -> Schema:
    """A class of its own is described once, because it may name itself."""
    kind = type_hints.class_of(core)
    of = [getattr(arg, "__name__", str(arg)) for arg in get_args(core)]
    name = re.sub(r"[^\w.]+", "_", ".".join([kind.__module__, kind.__qualname__, *of]))
    if name not in definitions:
        definitions[name] = {}
        definitions[name] = _object(core, definitions)
    return {"$ref": f"#/$defs/{name}"}


def _enum(values: list[Any]) -> Schema:
    """The values by name, but for those that JSON does not have; nothing where one can be written
    in several ways, as a date can."""
    named = [plain(one) if isinstance(one, _SEVERAL) else one for one in values if _is_json(one)]
    return {"enum": named} if named and not any(map(_has_forms, values)) else {}


_SEVERAL = (list, tuple, set, frozenset)


def _has_forms(value: Any) -> bool:
    if isinstance(value, _SEVERAL):
        return any(map(_has_forms, value))
    return type(value) in SCALARS


def _is_json(value: Any) -> bool:
    if isinstance(value, _SEVERAL):
        return all(map(_is_json, value))
    return (
        value is None
        or isinstance(value, (str, bool, int))
        or (isinstance(value, float) and math.isfinite(value))
    )
