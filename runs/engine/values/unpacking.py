"""Values from their stored form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from runs.engine.errors import NotStorableError
from runs.engine.values import allowed, objects
from runs.engine.values.tags import READERS
from runs.engine.values.unreadable import Unread

TAG = "$type"  # the key that tells a tagged value from any other mapping
TAG_BYTES = b'"$type"'
TEXT_ONLY = frozenset({str})
PLAIN_TYPES = frozenset({str, bool, type(None)})
#: Values of these types never change, and are read back as they are.
SCALARS = PLAIN_TYPES | {int, float}
#: Bases whose subclasses are stored as plain values, and how to make these.
BASE_CONVERSIONS: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
)
#: Forms of objects: as `objects.restore` and as `objects.call` take them, and members of an Enum.
_FORMS = frozenset({"instance", "object", "enum"})


def unpack(value: Any, shown: bool = False) -> Any:
    if isinstance(value, list):
        return [unpack(item, shown) for item in value]
    if not isinstance(value, dict):
        return value
    name = value.get(TAG)
    if not isinstance(name, str) or (name not in _FORMS and "value" not in value):
        return {key: unpack(item, shown) for key, item in value.items()}
    parts = {key: unpack(item, shown) for key, item in value.items() if key not in (TAG, "class")}
    try:
        if name in READERS:
            return READERS[name](parts["value"])
        return _unpack_object(name, str(value.get("class", name)), parts)
    except Exception as error:
        if not shown:
            raise
        return Unread(value.get("class", name), str(error), value, _data(parts))


def _data(parts: Mapping[str, Any]) -> Any:
    """What is on record of an object, as data."""
    fields = parts.get("value", parts.get("name"))
    if not isinstance(fields, Mapping):
        return fields
    others = ({**parts.get(part, {})} for part in ("attributes", "extra", "private"))
    return {**fields, **{name: item for part in others for name, item in part.items()}}


def _unpack_object(form: str, name: str, parts: Mapping[str, Any]) -> Any:
    cls = allowed.find(name)
    try:
        if issubclass(cls, Enum):
            return cls[parts["name"]] if "name" in parts else cls(parts["value"])
        if form == "instance":
            return objects.restore(cls, parts)
        try:
            return objects.call(cls, parts)
        except Exception:  # an earlier version has stored what the class does not take
            return objects.restore(cls, parts)
    except NotStorableError:
        raise
    except Exception as error:
        raise NotStorableError(
            f"The journal holds a {name} that the class does not take any more: {error!r}. Let it "
            "take what is on record, or allow another class that does, with also_known_as="
            f"[{name!r}]."
        ) from error
