"""The query parameters of runs: what lists and pages may be asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db.models import Q

from runs.engine.names import MAX_NAME
from runs.http.parameters import EVENTS_AFTER, EVENTS_LIMIT, Parameter, parse_uuid
from runs.models import RunStatus

FILTERS = (
    Parameter(
        name="status", kind="choice", choices=RunStatus.values, help="Runs in this status only."
    ),
    Parameter(
        name="workflow", high=MAX_NAME, help="Runs of the workflow with exactly this name only."
    ),
    Parameter(
        name="q",
        help="Runs whose name or workflow contains this, in any case, or whose id is this, or"
        " begins or ends with it (from 4 digits on).",
    ),
)


STATE = (
    Parameter(
        name="checkpoint",
        kind="uuid",
        help="The state at this checkpoint of the run's thread instead of the newest.",
    ),
)


EVENTS = (EVENTS_AFTER, EVENTS_LIMIT)


#: How many digits of an id stand after each of its hyphens.
GROUPS = (12, 16, 20, 24)


_PART_OF_ID = re.compile(r"[0-9a-f]{4,31}", re.ASCII)


def run_filter(values: Mapping[str, Any]) -> Q:
    condition = Q()
    if values["status"]:
        condition &= Q(status=values["status"])
    if values["workflow"]:
        condition &= Q(workflow=values["workflow"])
    if values["q"]:
        run_id = parse_uuid(values["q"])
        condition &= Q(pk=run_id) if run_id else _search(values["q"])
    return condition


def _search(text: str) -> Q:
    found = Q(name__folded__contains=text) | Q(workflow__folded__contains=text)
    digits = text.strip("\u2026 ").replace("-", "").lower()
    if _PART_OF_ID.fullmatch(digits):
        low, high = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
        # Postgres compares the end of an id with its hyphens, SQLite without.
        end = str(UUID(digits.rjust(32, "0")))[
            -len(digits) - sum(len(digits) > n for n in GROUPS) :
        ]
        found |= Q(pk__gte=low, pk__lte=high) | Q(pk__iendswith=end)
    return found
