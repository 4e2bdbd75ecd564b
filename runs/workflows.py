"""The registry: which workflows this installation has.

A `workflows` module in any installed app calls `register()`; the modules are loaded once, when
the apps are ready.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeAlias

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import module_has_submodule

from runs.engine import CompiledGraph
from runs.errors import Problem
from runs.registration import check_graph, check_key, check_limits, check_shown, checked_name

DEFAULT = "text_report"

#: Makes a concurrency key of a payload; None: the run has none.
KeyOf: TypeAlias = Callable[[Mapping[str, Any]], str | None]


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """A compiled graph with a name and a version. `input_schema` is JSON Schema for the payload.
    At most `concurrency_limit` of its runs run at once (None: any number). `concurrency_key` makes
    a run's key of its payload (None for no key), for runs that are given none; `key_limit` is then
    how many of one key run at once."""

    name: str
    version: str
    description: str
    input_schema: Mapping[str, Any] = field(repr=False)
    graph: CompiledGraph = field(repr=False)
    concurrency_limit: int | None = None
    concurrency_key: KeyOf | None = field(default=None, repr=False)
    key_limit: int = 1


_registry: dict[str, Workflow] = {}


def register(
    name: str,
    graph: CompiledGraph,
    *,
    version: str = "1",
    description: str = "",
    input_schema: Mapping[str, Any] | None = None,
    concurrency_limit: int | None = None,
    concurrency_key: KeyOf | None = None,
    key_limit: int = 1,
) -> Workflow:
    """Make `graph` startable as `name`. Without `input_schema` one is derived from the graph's
    input type. A second workflow of the same name raises ValueError: rename one of them. So does
    a limit below 1: to let none run, pause the workflow; and whatever cannot be stored or shown
    (`registration`)."""
    name, version = checked_name("The name", name), checked_name("The version", version)
    if not name:
        raise ValueError("A workflow needs a name: register('<name>', graph).")
    if name.endswith(("/", "/pause", "/unpause")):  # of other paths of the API
        raise ValueError(f"The name of a workflow cannot end as {name[-60:]!r} does.")
    check_graph(name, graph)
    if name in _registry:
        raise ValueError(f"There is a workflow named {name!r} already; give this one another name.")
    most = 1 if concurrency_limit is None else concurrency_limit
    check_limits(name, concurrency_limit=most, key_limit=key_limit)
    check_key(name, concurrency_key)
    description = description or (graph.description or "")
    if input_schema is None:
        input_schema = graph.input_json_schema()
    check_shown(name, description, input_schema)
    workflow = Workflow(
        name=name,
        version=version,
        description=description,
        input_schema=input_schema,
        graph=graph,
        concurrency_limit=concurrency_limit,
        concurrency_key=concurrency_key,
        key_limit=key_limit,
    )
    _registry[name] = workflow
    return workflow


def unregister(name: str) -> None:
    """Forget the workflow called `name`, if there is one: this process cannot execute it."""
    _registry.pop(name, None)


@contextmanager
def temporary() -> Iterator[None]:
    """Let the block register and forget workflows; after it the registry is as it was before."""
    before = dict(_registry)
    try:
        yield
    finally:
        _registry.clear()
        _registry.update(before)


def get(name: str) -> Workflow:
    """The workflow called `name`; Problem 404 that lists the known names otherwise."""
    try:
        return _registry[name]
    except KeyError:
        known = ", ".join(sorted(_registry)) or "none"
        raise Problem(
            404,
            "unknown_workflow",
            f"There is no workflow named {name!r}. Known: {known}. FASTGRAPH_APPS names the apps"
            " whose workflows are loaded.",
        ) from None


def find(name: str) -> Workflow | None:
    """The workflow called `name`; None when this process does not have it."""
    return _registry.get(name)


def registered() -> Set[str]:
    """The names of all workflows of this process: a view, which follows later registrations."""
    return _registry.keys()


def missing(name: str, what: str) -> Problem:
    """Problem 409: this process does not have the workflow of a run. `what` says for what it is
    needed ("To read this state")."""
    return Problem(
        409,
        "workflow_missing",
        f"{what}, workflow {name!r} is needed, which this server does not have. Name the app that"
        " registers it in FASTGRAPH_APPS and start the server again.",
    )


def names() -> list[str]:
    """The names of all workflows, sorted."""
    return sorted(_registry)


def limited() -> dict[str, int]:
    """The workflows that have a limit, and their limits."""
    return {
        name: workflow.concurrency_limit
        for name, workflow in _registry.items()
        if workflow.concurrency_limit is not None
    }


def autodiscover() -> None:
    """Load the `workflows` module of every installed app; ImproperlyConfigured that names the
    module and its line when it raises."""
    for app in apps.get_app_configs():
        if app.module is None or not module_has_submodule(app.module, "workflows"):
            continue
        name = f"{app.name}.workflows"
        try:
            import_module(name)
        except (Exception, SystemExit) as error:  # a module that exits would end it without a word
            raise ImproperlyConfigured(_why_not_loaded(name, error)) from error


def _why_not_loaded(name: str, error: BaseException) -> str:
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
