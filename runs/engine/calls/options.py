"""How a graph is to be run: the options of a call, and what a LangGraph config says of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Literal, TypedDict, cast
from uuid import UUID

from runs.engine.clock import Clock
from runs.engine.execution.execution import namespace_of
from runs.engine.execution.task.task_call import current
from runs.engine.graph.graph import Graph
from runs.engine.graph.validation import check_stops
from runs.engine.journal.durability import Durability
from runs.engine.journal.ports import ArtifactStore, Journal, is_journal
from runs.engine.names import as_text

#: A thread by its id, or as LangGraph names it: {"configurable": {"thread_id": ...}}.
Config = Mapping[str, Any]


class Options(TypedDict, total=False):
    """How a graph is to be run; all are optional, and None is as good as nothing."""

    thread_id: str | int | UUID | None
    checkpoint_id: str | UUID | None
    journal: Journal | None
    recursion_limit: int | None
    interrupt_before: Collection[str] | Literal["*"] | None
    interrupt_after: Collection[str] | Literal["*"] | None
    context: Any
    artifacts: ArtifactStore | None
    clock: Clock | None
    durability: Durability | None
    key: str | None


def options_of(config: Config | None, options: Options) -> Options:
    """`options`, with what a LangGraph config says about the thread and the limit. What is no
    option raises TypeError, a value that makes no sense ValueError or TypeError."""
    if unknown := options.keys() - Options.__annotations__.keys():
        known = ", ".join(Options.__annotations__)
        raise TypeError(f"{min(unknown)!r} is not an option of a run; there are {known}.")
    said: dict[str, Any] = {}
    for key in ("thread_id", "checkpoint_id"):
        if (of_config := (config or {}).get("configurable", {}).get(key)) not in (None, ""):
            said[key] = of_config
    if config is not None and "recursion_limit" in config:
        said["recursion_limit"] = config["recursion_limit"]
    if (most := (config or {}).get("max_concurrency")) is not None and not _is_count(most):
        raise ValueError(f"max_concurrency is {most!r}; give a whole number, at least 1.")
    said.update((key, value) for key, value in options.items() if value is not None)
    _check(said)
    for key in ("thread_id", "checkpoint_id"):
        if key in said:
            said[key] = _id(key, said[key])
    return cast(Options, said)


def place_of(config: Config | str) -> tuple[str, str | None]:
    """The thread that is meant, and the checkpoint if one is named."""
    if isinstance(config, (str, UUID)):
        return _id("thread_id", config), None
    said = config.get("configurable", {})
    if said.get("thread_id") in (None, ""):
        raise ValueError(
            "The config does not say which thread: give its id, or "
            '{"configurable": {"thread_id": ...}}.'
        )
    inside = said.get("checkpoint_ns")
    if inside and not _is_own(inside):
        raise ValueError(
            f"The config names a graph inside the thread's own ({inside}). It is looked at from "
            "outside, with get_state(<the thread's config>, subgraphs=True), and edited by nobody "
            "but its nodes."
        )
    checkpoint_id = said.get("checkpoint_id") or None
    if checkpoint_id is not None:
        checkpoint_id = _id("checkpoint_id", checkpoint_id)
    return _id("thread_id", said["thread_id"]), checkpoint_id


def _is_own(namespace: object) -> bool:
    """Whether the config is the one that the node was given that asks: it means the thread."""
    memo = current.get(None)
    return memo is not None and namespace == namespace_of(memo.execution.namespace, memo.task)


def stopping(graph: Graph, options: Options) -> Graph:
    """`graph`, to stop where the options of a run say so instead of where it was compiled to."""
    stops = {}
    for key, option in (
        ("stop_before", options.get("interrupt_before")),
        ("stop_after", options.get("interrupt_after")),
    ):
        if option is not None:
            stops[key] = frozenset(graph.nodes if option == "*" else option)
            check_stops(graph.nodes, stops[key])
    return replace(graph, **stops) if stops else graph  # type: ignore[arg-type]


def _id(what: str, given: object) -> str:
    """The id of a thread or a checkpoint, as text."""
    if isinstance(given, str) and given:
        return as_text(given)
    if isinstance(given, (int, UUID)):
        return str(given)
    raise TypeError(f"{what} is {given!r}; give a text, a whole number or a UUID.")


def _is_count(given: object) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and given >= 1


def _check(said: Mapping[str, Any]) -> None:
    limit = said.get("recursion_limit", 1)
    if not _is_count(limit):
        raise ValueError(f"recursion_limit is {limit!r}; give a whole number, at least 1.")
    if "journal" in said and not is_journal(said["journal"]):
        raise TypeError(f"journal is {said['journal']!r}; give a Journal, as MemoryJournal().")
