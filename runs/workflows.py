"""The registry: which workflows this installation has.

A `workflows` module in any installed app calls `register()`; the modules are loaded once, when
the apps are ready.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import module_has_submodule

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
    """Load the `workflows` module of every installed app; ImproperlyConfigured that names the
    module and its line when it raises."""
    for app in apps.get_app_configs():
        if app.module is None or not module_has_submodule(app.module, "workflows"):
            continue
        name = f"{app.name}.workflows"
        try:
            import_module(name)
        except Exception as error:
            raise ImproperlyConfigured(_why_not_loaded(name, error)) from error


def _why_not_loaded(name: str, error: Exception) -> str:
    if isinstance(error, SyntaxError):
        file, line, code = error.filename, error.lineno, error.text
        said = error.msg
    else:
        frames = traceback.extract_tb(error.__traceback__)
        path = f"{os.sep}{name.replace('.', os.sep)}.py"
        frame = [each for each in frames if each.filename.endswith(path)] or frames
        file, line, code = frame[-1].filename, frame[-1].lineno, frame[-1].line
        said = str(error)
    where = f'File "{file}", line {line}' + (f"\n    {code.strip()}" if code else "")
    return f"{name} cannot be loaded. {type(error).__name__}: {said}\n  {where}"
