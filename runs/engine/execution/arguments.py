"""What nodes and routers are called with: the state, and what else their signatures ask for."""

from __future__ import annotations

from typing import Any

from runs.engine.execution import language_models
from runs.engine.execution.context import Context, SyncContext
from runs.engine.execution.execution import config
from runs.engine.execution.task.task_call import TaskCall
from runs.engine.graph.graph import Branch, ExtraArgument, Node


def arguments(
    args: tuple[Any, ...], called: Node | Branch, memo: TaskCall
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """`args`, which begin with the state, with what else is called for; and that by keyword."""
    if called.calling != "state":
        args += (_given(memo, called.calling, called.awaits),)
    if not called.keywords:
        return args, {}
    return args, {name: _given(memo, what, called.awaits) for name, what in called.keywords}


def _given(memo: TaskCall, what: ExtraArgument, awaits: bool) -> Any:
    if what == "config":
        said = config(memo.execution, memo.task)
        heard = language_models.callbacks()
        return said if heard is None else {**said, "callbacks": heard}
    context = Context(memo) if awaits else SyncContext(memo)
    return context.emit if what == "writer" else context
