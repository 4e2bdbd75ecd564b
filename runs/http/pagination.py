"""Lists in pages, newest first, by key: a page costs the same however far back it lies, and rows
that come or go meanwhile neither repeat nor hide others.

DRF's own cursor remembers one column and counts ties; ours remembers the whole key.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from runs.http.parameters import Parameter, bad_parameter, parse_uuid

PAGE_SIZE = 50
MAX_PAGE_SIZE = 200

#: What every list takes beside its own filters.
PAGE_PARAMETERS = (
    Parameter(
        name="page_size",
        kind="integer",
        low=1,
        high=MAX_PAGE_SIZE,
        default=PAGE_SIZE,
        help="Rows of a page.",
    ),
    Parameter(
        name="cursor", high=1000, help="Where the page begins: taken from `next` or `previous`."
    ),
)


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """After `key` in the order of the list, or before it when `back`."""

    key: tuple[Any, ...]
    back: bool

    def encode(self) -> str:
        parts = ["b" if self.back else "f"]
        parts += [k.isoformat() if isinstance(k, datetime) else str(k) for k in self.key]
        return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


class KeysetPagination(CursorPagination):
    """Newest first by `created_at` and `id`. Takes a queryset of model instances or of rows
    (`values`) that have both; the view is an ApiViewSet that declares PAGE_PARAMETERS."""

    columns: Sequence[str] = ("created_at", "id")
    page_size = PAGE_SIZE
    max_page_size = MAX_PAGE_SIZE
    page_size_query_param = "page_size"

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        query: Mapping[str, Any] = view.values
        size: int = query["page_size"]
        self.request = request
        self.here = request.build_absolute_uri()
        cursor = self._decode(query["cursor"]) if query["cursor"] else None
        back = cursor is not None and cursor.back
        ordered = queryset.order_by(*((c if back else f"-{c}") for c in self.columns))
        if cursor is not None:
            ordered = ordered.filter(self._beyond(cursor))
        rows = list(ordered[: size + 1])
        more, rows = len(rows) > size, rows[:size]
        if back:
            rows.reverse()
        self.rows = rows
        self.has_next = bool(rows) and (back or more)
        self.has_previous = bool(rows) and (more if back else cursor is not None)
        return rows

    def get_next_link(self) -> str | None:
        return self._link(self.rows[-1], back=False) if self.has_next else None

    def get_previous_link(self) -> str | None:
        return self._link(self.rows[0], back=True) if self.has_previous else None

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return []  # the views declare PAGE_PARAMETERS themselves

    def to_html(self) -> str:
        return ""  # next and previous are links in the answer already

    def _link(self, row: Any, *, back: bool) -> str:
        key = tuple(row[c] if isinstance(row, Mapping) else getattr(row, c) for c in self.columns)
        return str(replace_query_param(self.here, "cursor", Cursor(key=key, back=back).encode()))

    def _beyond(self, cursor: Cursor) -> Q:
        operator = "gt" if cursor.back else "lt"
        first, *rest = zip(self.columns, cursor.key, strict=True)
        if not rest:
            return Q(**{f"{first[0]}__{operator}": first[1]})
        # The outer bound lets the database start in the index; the inner one breaks ties.
        (second,) = rest
        return Q(**{f"{first[0]}__{operator}e": first[1]}) & (
            Q(**{f"{first[0]}__{operator}": first[1]})
            | Q(**{f"{second[0]}__{operator}": second[1]})
        )

    def _decode(self, text: str) -> Cursor:
        try:
            padded = text + "=" * (-len(text) % 4)
            parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
            direction, *texts = parts
            key = tuple(
                _key_part(column, part) for column, part in zip(self.columns, texts, strict=True)
            )
            if direction not in ("f", "b"):
                raise ValueError(direction)
        except (ValueError, TypeError, binascii.Error, RecursionError):
            raise bad_parameter(
                "cursor", "is not one that we gave: take it from `next` or `previous`."
            ) from None
        return Cursor(key=key, back=direction == "b")


class NewestId(KeysetPagination):
    """By `id` alone, for ids that sort by time."""

    columns = ("id",)


def _key_part(column: str, text: Any) -> datetime | UUID:
    if column == "created_at":
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None or not 1970 <= moment.year <= 9998:
            raise ValueError(text)
        return moment
    value = parse_uuid(text)
    if value is None:
        raise ValueError(text)
    return value
