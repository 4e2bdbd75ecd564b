"""Query parameters, declared once: read strictly, and documented from the same declaration.

A parameter that is unknown, given twice or has a value that it does not take is refused with a
sentence that lists what is allowed. A misspelt filter that is ignored would answer everything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from django.http import QueryDict
from drf_spectacular.utils import OpenApiParameter

from runs.errors import Problem

#: DRF's own: which renderer answers.
ALWAYS = frozenset({"format"})

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_INTEGER = re.compile(r"[0-9]{1,19}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One query parameter. Whole numbers lie between `low` and `high`, texts have at most `high`
    characters, a choice is one of `choices`."""

    name: str
    help: str
    kind: Literal["text", "integer", "uuid", "choice"] = "text"
    default: int | None = None
    low: int = 0
    high: int = 200
    choices: Sequence[str] = ()

    def parse(self, text: str) -> str | int | UUID:
        """The value of `text`; Problem 400 `bad_parameter` when it has none."""
        if self.kind == "uuid" and (value := parse_uuid(text)):
            return value
        if self.kind == "integer" and _INTEGER.fullmatch(text):
            number = int(text)
            if self.low <= number <= self.high:
                return number
        if self.kind == "choice" and text in self.choices:
            return text
        if self.kind == "text" and len(text) <= self.high and "\x00" not in text:
            return text
        raise bad_parameter(self.name, f"must be {self._allowed()}.")

    def documented(self) -> OpenApiParameter:
        """This parameter in the API's schema."""
        schema: dict[str, Any] = {"type": "integer" if self.kind == "integer" else "string"}
        if self.kind == "integer":
            schema |= {"minimum": self.low, "maximum": self.high}
        elif self.kind == "uuid":
            schema["format"] = "uuid"
        elif self.kind == "choice":
            schema["enum"] = list(self.choices)
        else:
            schema["maxLength"] = self.high
        if self.default is not None:
            schema["default"] = self.default
        return OpenApiParameter(self.name, schema, OpenApiParameter.QUERY, description=self.help)

    def _allowed(self) -> str:
        match self.kind:
            case "uuid":
                return "an id like 019abcde-0000-7000-8000-000000000000"
            case "integer":
                return f"a whole number from {self.low} to {self.high}"
            case "choice":
                return f"one of {', '.join(self.choices)}"
            case _:
                return f"text of at most {self.high} characters without NUL"


def read(query: QueryDict, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """The values by name: of every parameter, its default (or None) where it is not given."""
    known = {parameter.name: parameter for parameter in parameters}
    given: dict[str, str] = {}
    for name, texts in query.lists():
        if name not in known and name not in ALWAYS:
            allowed = ", ".join(known) or "none"
            raise bad_parameter(name[:100], f"is not a parameter here. Known: {allowed}.")
        if len(texts) > 1:
            raise bad_parameter(name, "is given more than once.")
        given[name] = str(texts[0])
    return {
        name: parameter.parse(given[name]) if given.get(name) else parameter.default
        for name, parameter in known.items()
    }


def parse_uuid(text: str) -> UUID | None:
    """The id that `text` is in its usual form, with hyphens; None when it is none."""
    return UUID(text) if _UUID.fullmatch(text) else None


def bad_parameter(name: str, what: str) -> Problem:
    return Problem(400, "bad_parameter", f"The query parameter `{name}` {what}")


#: The query of `/events`, whichever door answers it.
EVENTS_AFTER = Parameter(
    name="after",
    kind="integer",
    high=2**63 - 1,
    default=0,
    help="Events with a greater `seq` only.",
)
EVENTS_LIMIT = Parameter(
    name="limit", kind="integer", low=1, high=1000, default=100, help="At most so many events."
)
