"""The registry: which workflows this installation has.

A `workflows` module in any installed app calls `register()`; the modules are loaded once, when
the apps are ready.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.module_loading import autodiscover_modules

from runs.engine import CompiledGraph
from runs.errors import Problem

DEFAULT = "text_report"


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """A compiled graph with a name and a version. `input_schema` is JSON Schema for the payload."""

    name: str
    version: str
    description: str
    input_schema: Mapping[str, Any] = field(repr=False)
    graph: CompiledGraph = field(repr=False)


_registry: dict[str, Workflow] = {}


def register(
    name: str,
    graph: CompiledGraph,
    *,
    version: str = "1",
    description: str = "",
    input_schema: Mapping[str, Any] | None = None,
) -> Workflow:
    """Make `graph` startable as `name`. Without `input_schema` one is derived from the graph's
    input type. A second workflow of the same name raises ValueError: rename one of them."""
    if name in _registry:
        raise ValueError(f"There is a workflow named {name!r} already; give this one another name.")
    workflow = Workflow(
        name=name,
        version=version,
        description=description or (graph.description or ""),
        input_schema=graph.input_json_schema() if input_schema is None else input_schema,
        graph=graph,
    )
    _registry[name] = workflow
    return workflow


def get(name: str) -> Workflow:
    """The workflow called `name`; Problem 404 that lists the known names otherwise."""
    try:
        return _registry[name]
    except KeyError:
        known = ", ".join(sorted(_registry)) or "none"
        raise Problem(
            404, "unknown_workflow", f"There is no workflow named {name!r}. Known: {known}."
        ) from None


def names() -> list[str]:
    """The names of all workflows, sorted."""
    return sorted(_registry)


def autodiscover() -> None:
    """Load the `workflows` module of every installed app."""
    autodiscover_modules("workflows")
