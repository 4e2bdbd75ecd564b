"""The shapes that every app's part of the API schema is made of: closed objects, problems."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers as s

_OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": {}}


@extend_schema_field(_OBJECT)
class ObjectField(s.JSONField):
    """A JSON object."""


class Shape(s.Serializer[Any]):
    """A documented shape; never used to build or check values."""


class FaultSerializer(Shape):
    at = s.CharField(help_text="JSON pointer into the body")
    detail = s.CharField()


class ProblemSerializer(Shape):
    """RFC 9457 problem details."""

    type = s.CharField()
    title = s.CharField()
    status = s.IntegerField()
    detail = s.CharField(help_text="One sentence for people that says what to do")
    instance = s.CharField()
    code = s.CharField(help_text="Stable, for programs")
    errors: Any = FaultSerializer(many=True, required=False)
