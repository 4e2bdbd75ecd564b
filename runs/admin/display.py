"""How the admin shows ids, statuses and JSON: always escaped, never more than a page can bear."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Model
from django.db.models.functions import Length, Substr
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

SHOWN = 20_000
EMPTY = "-"


def row_link(model: str, pk: object, label: str = "") -> SafeString | str:
    """A link to the page of one row; `model` is `app_model` in small letters."""
    if pk is None:
        return EMPTY
    url = reverse(f"admin:{model}_change", args=[pk])
    return format_html('<a href="{}">{}</a>', url, label or str(pk))


def list_link(model: str, label: str, **where: object) -> SafeString:
    """A link to the list of a model, filtered."""
    url = reverse(f"admin:{model}_changelist")
    return format_html('<a href="{}?{}">{}</a>', url, urlencode(where), label)


def badge(status: str) -> SafeString:
    """A run's status, in words and in colour."""
    return format_html('<span class="fg-badge fg-{}">{}</span>', status, status)


def pretty(value: Any) -> SafeString:
    """A decoded JSON value, indented."""
    if value in (None, "", {}, []):
        return format_html('<span class="quiet">{}</span>', EMPTY)
    return block(json.dumps(value, indent=2, ensure_ascii=False))


def stored_text(row: Model, field: str) -> SafeString:
    """The JSON in a text column, read in one query, and only as much of it as is shown: the column
    may hold many megabytes, and lists leave it behind."""
    found = (
        type(row)
        ._default_manager.filter(pk=row.pk)
        .values_list(Substr(field, 1, SHOWN + 1), Length(field))
        .first()
    )
    text, length = found or ("", 0)
    if not text:
        return pretty(None)
    if length <= SHOWN:
        try:
            return pretty(json.loads(text))
        except ValueError:
            pass
    return block(text, length)


def block(text: str, length: int | None = None) -> SafeString:
    """Text as it is, cut where a page would become too long, with a note of how much there is."""
    length = len(text) if length is None else length
    if length <= SHOWN:
        return format_html('<pre class="fg-json">{}</pre>', text)
    return format_html(
        '<pre class="fg-json">{}…</pre><p class="help">The first {} of {} characters.</p>',
        text[:SHOWN],
        f"{SHOWN:,}",
        f"{length:,}",
    )


def short(pk: UUID | None) -> str:
    """The end of an id, where ids of the same moment differ."""
    return f"…{str(pk)[-12:]}" if pk else EMPTY
