"""What `register()` takes: every database stores it, and every client can be shown it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from runs.engine import CompiledGraph
from runs.engine.names import as_text, label_fault

#: The greatest limit; Postgres has no room for a greater one.
MAX_LIMIT = 2**31 - 1


def check_graph(name: str, graph: object) -> None:
    """ValueError unless `graph` is one that can be run."""
    if not isinstance(graph, CompiledGraph):
        raise ValueError(
            f"Workflow {name!r} is to be a compiled graph, not a {type(graph).__name__}: register "
            "what compile() gives, or the `compiled` of an entrypoint."
        )


def checked_name(what: str, name: object) -> str:
    """A name or version as plain text; ValueError when it cannot be stored, or not be seen."""
    if not isinstance(name, str):
        raise ValueError(f"{what} of a workflow is a text, not {name!r}.")
    fault = label_fault(name) if name else ""
    if "\x00" in name:  # clients cannot send one
        fault = "has a NUL character; leave it out"
    if fault:
        raise ValueError(f"{what} of a workflow cannot be {name[:60]!r}: it {fault}.")
    return as_text(name)


def check_limits(name: str, **limits: object) -> None:
    """ValueError for a limit that is no whole number from 1 to `MAX_LIMIT`."""
    for option, limit in limits.items():
        if type(limit) is not int or not 1 <= limit <= MAX_LIMIT:
            raise ValueError(
                f"Workflow {name!r} has {option}={limit!r}; give a whole number, 1 or more, up to"
                f" {MAX_LIMIT}. To let none run, pause the workflow."
            )


def check_key(name: str, concurrency_key: object) -> None:
    """ValueError unless it is a function, or None."""
    if concurrency_key is not None and not callable(concurrency_key):
        raise ValueError(
            f"Workflow {name!r} has concurrency_key={concurrency_key!r}; give a function that makes"
            " a key of the payload."
        )


def check_shown(name: str, description: object, input_schema: object) -> None:
    """ValueError for a description that is no text, a schema that is no JSON object, and for text
    in them that is no Unicode."""
    if not isinstance(description, str):
        raise ValueError(
            f"The description of workflow {name!r} is a text, not a {type(description).__name__}."
        )
    if not isinstance(input_schema, Mapping):
        raise ValueError(
            f"The input_schema of workflow {name!r} is a mapping (JSON Schema), not a"
            f" {type(input_schema).__name__}."
        )
    try:
        json.dumps([description, dict(input_schema)], ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"The description or input_schema of workflow {name!r} has half of a surrogate pair;"
            " use well-formed Unicode."
        ) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"The input_schema of workflow {name!r} cannot be written as JSON: {error}."
        ) from error
