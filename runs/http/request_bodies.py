"""What the schema says of requests: which keys their bodies have, and which text they take."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction
from rest_framework import serializers as s

#: What PostgreSQL takes as text, as a pattern of the schema.
STORABLE = r"^[^\u0000]*$"
#: An Idempotency-Key: printable, without spaces at its ends, which HTTP drops.
KEY: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": r"^[!-~\u00a1-\u00ac\u00ae-\u00ff]([ -~\u00a1-\u00ac\u00ae-\u00ff]*"
    r"[!-~\u00a1-\u00ac\u00ae-\u00ff])?$",
}


class RequestShape(s.Serializer[Any]):
    """What is asked for. With other keys than these it is refused."""


class _Closed(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Says so in the schema."""

    target_class = RequestShape
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        mapped = auto_schema._map_serializer(  # type: ignore[no-untyped-call]
            self.target, direction, bypass_extensions=True
        )
        return {**mapped, "additionalProperties": False}


def text(**options: Any) -> s.RegexField:
    """Text that can be stored. It may be empty, unless `min_length` says otherwise."""
    return s.RegexField(STORABLE, **options)
