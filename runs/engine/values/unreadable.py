"""What stands for a stored object that this process cannot rebuild."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson


class Unread(dict[str, Any]):
    """The data of a stored object whose class is not here any more, or has changed too much: the
    name of its class (`$class`) and its fields. It is stored again as the object it stands for."""

    def __init__(self, class_name: str, reason: str, stored: Mapping[str, Any], held: Any) -> None:
        fields = held if isinstance(held, Mapping) else {"value": held}
        super().__init__({"$class": class_name, **{str(key): v for key, v in fields.items()}})
        #: Why it was not rebuilt, and what to do. A sentence.
        self.reason = reason
        #: Its stored form.
        self.stored = stored

    def __hash__(self) -> int:  # type: ignore[override]  # it may stand in a set, or as a key
        return hash(orjson.dumps(self.stored))
