"""The state of the one node that an entrypoint is, and how it is shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypedDict

from runs.engine.calls.snapshots import StateSnapshot, TaskSnapshot
from runs.engine.types import Command


class EntrypointResult(TypedDict):
    result: Any


class EntrypointState(TypedDict, total=False):
    input: Any
    result: Any
    previous: Any


def as_input(input: Any) -> Any:
    return input if input is None or isinstance(input, Command) else {"input": input}


def as_snapshot(state: StateSnapshot) -> StateSnapshot:
    """A thread as those see it who know of the function only."""
    values: Any = state.values.get("result") if state.values else state.values
    return replace(state, values=values, tasks=tuple(map(_seen_task, state.tasks)))


def _seen_task(task: TaskSnapshot) -> TaskSnapshot:
    result: Any = task.result
    return task if result is None else replace(task, result=result.get("result"))


def as_update(name: str, shown: Any) -> Any:
    """What a function gave, instead of the state that it is kept in."""
    return {name: shown[name]["result"]} if _is_state(shown.get(name), "result") else shown


def as_debug(name: str, shown: Any) -> Any:
    """What is told of a task or a checkpoint, in the same way."""
    if "values" in shown:
        return {**shown, "values": shown["values"].get("result")}
    if shown["name"] == name:
        for key in ("input", "result"):
            if _is_state(shown.get(key), key):
                return {**shown, key: shown[key][key]}
    return shown


def _is_state(given: Any, key: str) -> bool:
    # A task may have the name of the function that calls it, and shows something else.
    return (
        isinstance(given, dict)
        and key in given
        and given.keys() <= EntrypointState.__annotations__.keys()
    )
