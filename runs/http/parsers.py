"""Request bodies: JSON, whatever its content type says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import IO, Any

from rest_framework.parsers import BaseParser

from runs.conf import conf
from runs.errors import Problem
from runs.http.renderers import JsonRenderer
from runs.http.value_limit import refuse_too_many_values
from runs.validation import pointer


class JsonParser(BaseParser):
    """Any body as JSON, up to `max_body_bytes`. Problem 413 or 400 otherwise.

    Not orjson: it reads whole numbers beyond 64 bits as floats, and they would come back changed.
    """

    media_type = "application/json"
    renderer_class = JsonRenderer

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        limit = conf().max_body_bytes
        if _declared_length(parser_context) > limit or len(body := stream.read(limit + 1)) > limit:
            raise Problem(413, "body_too_large", f"A request body may have {limit} bytes.")
        return read_json(body)


def read_json(body: bytes) -> Any:
    """The value of a request's body, an empty object where there is none. Problem 400 for what is
    no JSON, 413 for more than `max_body_values` values."""
    if not body.strip():
        return {}
    refuse_too_many_values(body)
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise _malformed("It is nested too deeply.") from None
    except UnicodeDecodeError:
        raise _malformed("It is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"{error}.") from None
    except ValueError as error:
        raise _malformed(_without_python(error)) from None


def object_of(data: Any, known: Iterable[str], at: str = "") -> dict[str, Any]:
    """`data`, which must be a JSON object with none but `known` keys; Problem 422 otherwise. `at`
    is its place in the body."""
    allowed = ", ".join(f"`{name}`" for name in known)
    if not isinstance(data, dict):
        what = f"What is at {at}" if at else "The body"
        errors = [{"at": at, "detail": "This must be a JSON object."}] if at else []
        raise Problem(422, "invalid", f"{what} must be a JSON object with: {allowed}.", errors)
    unknown = [key for key in data if key not in known]
    if unknown:
        errors = [
            {"at": pointer(at, [key]), "detail": "There is no such field."} for key in unknown[:20]
        ]
        names = ", ".join(f"`{key[:100]}`" for key in unknown[:20])
        raise Problem(422, "invalid", f"Unknown field {names}. Known: {allowed}.", errors)
    return data


def _declared_length(context: Mapping[str, Any] | None) -> int:
    request = context.get("request") if context else None
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0) if request is not None else 0
    except ValueError:
        return 0


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON; send null or text")


def _without_python(error: ValueError) -> str:
    """The sentence for a number that `int` refuses names a function that no client can call."""
    if "integer string conversion" in str(error):
        return "A whole number has thousands of digits; send it as text."
    return f"{error}."


def _malformed(why: str) -> Problem:
    return Problem(400, "malformed_json", f"The body is not JSON. {why}")
