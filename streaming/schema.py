"""The HTTP streams in the API's schema, from the declarations that they read their queries by."""

from __future__ import annotations

from typing import Any

from runs.http.parameters import Parameter
from runs.http.problems import MEDIA_TYPE
from streaming.http.long_poll import UNTIL_END
from streaming.routing import ENDPOINTS, EVENTS

_ANSWERS = {
    "event-stream": {
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "description": "`id:` the cursor, `event:` the event's name, `data:` its frame.",
    },
    "end": {"description": "The run has ended and everything was sent: do not come back."},
    "run": {
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Run"}}},
        "description": "The run, as it is now.",
    },
}
_PROBLEMS = {
    "400": "A query parameter or header is not understood (`bad_parameter`, `bad_header`).",
    "404": "There is no such thing.",
    "503": "The database does not answer, or the server is about to stop.",
}
_SUMMARIES = {
    "/api/runs/{run_id}/stream": (
        "Stream the events of a run (server-sent events)",
        "Past events, then live ones, the last one last. `Last-Event-ID` goes before `after`.",
        {"200": _ANSWERS["event-stream"], "204": _ANSWERS["end"]},
    ),
    "/api/runs/{run_id}/wait": (
        "Wait for the end of a run",
        "The run when it has ended, or where it stands when the time is over.",
        {"200": _ANSWERS["run"]},
    ),
    "/api/threads/{thread_id}/stream": (
        "Stream the events of a thread's runs (server-sent events)",
        "Those of all its runs and of the runs to come; it does not end. An `id` is a cursor for"
        " the whole thread.",
        {"200": _ANSWERS["event-stream"]},
    ),
}


def add_streams(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's hook: the paths that never reach a view, and `wait` of those that do."""
    for path, endpoint in ENDPOINTS.items():
        summary, description, answers = _SUMMARIES[path]
        result["paths"][f"{path}/"] = {
            "get": {
                "operationId": path.strip("/")
                .replace("/", "_")
                .replace("{run_id}_", "")
                .replace("{thread_id}_", ""),
                "summary": summary,
                "description": description,
                "tags": ["runs"],
                "parameters": [_id(path), *map(_documented, endpoint.parameters)],
                "responses": {**answers, **_problems()},
            }
        }
    events = result["paths"]["/api/runs/{run_id}/events/"]["get"]
    known = {parameter["name"] for parameter in events["parameters"]}
    events["parameters"] += [_documented(p) for p in EVENTS.parameters if p.name not in known]
    create = result["paths"]["/api/runs/"]["post"]
    create.setdefault("parameters", []).append(_documented(UNTIL_END))
    result["paths"] = dict(sorted(result["paths"].items()))
    return result


def _id(path: str) -> dict[str, Any]:
    name = path[path.index("{") + 1 : path.index("}")]
    return {"in": "path", "name": name, "schema": {"type": "string"}, "required": True}


def _documented(parameter: Parameter) -> dict[str, Any]:
    documented = parameter.documented()
    return {
        "in": "query",
        "name": parameter.name,
        "schema": documented.type,
        "description": parameter.help,
    }


def _problems() -> dict[str, Any]:
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"content": problem, "description": description}
        for status, description in _PROBLEMS.items()
    }
