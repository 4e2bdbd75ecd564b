"""The event vocabulary in the API's schema, from its one table (`runs.engine.events`)."""

from __future__ import annotations

from typing import Any

from runs.engine import events
from runs.engine.events import EventKind


def add_events(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's hook: the component `EventName`, and frames that use it. Its extension
    `x-event-kinds` has the table for programs, by name; the dashboard's is generated from it."""
    schemas = result["components"]["schemas"]
    schemas["EventName"] = {
        "type": "string",
        "enum": list(events.NAMES),
        "description": "\n".join(map(_line, events.KINDS)),
        "x-event-kinds": {kind.name: _row(kind) for kind in events.KINDS},
    }
    named = {"type": "string", "pattern": f"^{events.CUSTOM}:"}
    schemas["Frame"]["properties"]["event"] = {
        "anyOf": [{"$ref": "#/components/schemas/EventName"}, named],
        "description": "An event that a node named itself is `custom:<name>`",
    }
    result["components"]["schemas"] = dict(sorted(schemas.items()))
    return result


def _line(kind: EventKind) -> str:
    return f"* `{kind.name}`: {kind.meaning}{_status(kind)}"


def _status(kind: EventKind) -> str:
    if kind.status is None:
        return ""
    only = f" if it was `{'` or `'.join(kind.replaces)}`" if kind.replaces else ""
    return f" Its status is `{kind.status}` from then on{only}."


def _row(kind: EventKind) -> dict[str, Any]:
    return {
        "meaning": kind.meaning,
        "status": kind.status,
        "replaces": list(kind.replaces),
        "terminal": kind.terminal,
        "modes": list(kind.modes),
    }
