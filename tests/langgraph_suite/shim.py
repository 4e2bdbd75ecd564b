"""The package `langgraph`, as LangGraph's tests import it, with this engine's words in it.

All of `langgraph` is ours while it is installed here: a word that the engine does not have is a
`Word`, which can be imported and named in annotations, and raises as soon as it is used. So no
test passes by LangGraph's own code.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from runs import engine
from runs.engine import errors
from runs.engine.calls.views import StreamMode
from runs.engine.journal.durability import Durability
from runs.engine.values import allowed
from tests.langgraph_suite import lookalikes

_GRAPH = {"StateGraph": lookalikes.StateGraph, "START": engine.START, "END": engine.END}
_MESSAGES = {
    "add_messages": engine.add_messages,
    "MessagesState": engine.MessagesState,
    "REMOVE_ALL_MESSAGES": engine.REMOVE_ALL_MESSAGES,
}
_ERRORS = ("EmptyInputError", "GraphInterrupt", "GraphRecursionError", "InvalidUpdateError")

#: What there is, by module.
WORDS: Mapping[str, Mapping[str, Any]] = {
    "langgraph.graph": {**_GRAPH, **_MESSAGES},
    "langgraph.graph.message": _MESSAGES,
    "langgraph.graph.state": {**_GRAPH, "CompiledStateGraph": engine.CompiledGraph},
    "langgraph.constants": {"START": engine.START, "END": engine.END},
    "langgraph.func": {"entrypoint": engine.entrypoint, "task": engine.task},
    "langgraph.types": {
        "CachePolicy": engine.CachePolicy,
        "Command": engine.Command,
        "Durability": Durability,
        "Interrupt": lookalikes.Interrupt,
        "PregelTask": lookalikes.PregelTask,
        "RetryPolicy": engine.RetryPolicy,
        "Send": engine.Send,
        "StateSnapshot": lookalikes.StateSnapshot,
        "StreamMode": StreamMode,
        "StreamWriter": Callable[[Any], None],
        "interrupt": engine.interrupt,
    },
    "langgraph.errors": {
        **{name: getattr(errors, name) for name in _ERRORS},
        "NodeCancelledError": errors.NodeCancelledError,
        "NodeTimeoutError": errors.NodeTimeoutError,
        "ParentCommand": errors.ParentCommand,
    },
    "langgraph.runtime": {"Runtime": lookalikes.Runtime},
    "langgraph.channels.ephemeral_value": {"EphemeralValue": engine.EphemeralValue},
    "langgraph.cache.memory": {"InMemoryCache": engine.InMemoryCache},
    "langgraph.channels.delta": {"DeltaChannel": lookalikes.DeltaChannel},
    "langgraph.checkpoint.base": {"BaseCheckpointSaver": lookalikes.Journal},
    "langgraph.checkpoint.memory": {
        "InMemorySaver": lookalikes.Journal,
        "MemorySaver": lookalikes.Journal,
    },
}

#: What is not there at all: tests that need these are out of scope, and their files are imported.
FOREIGN = ("langgraph", "pytest_mock", "syrupy")


class NotThere(Exception):
    """A test has used a word that this engine does not have."""


class Word(type):
    """The class of what is not there: good for annotations, and for nothing else."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise NotThere(f"{cls.__name__} is no word of this engine")

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotThere(f"{cls.__name__} is no word of this engine")

    def __getitem__(cls, item: Any) -> Any:
        return cls


class _Module(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = Word(f"{self.__name__}.{name}", (), {"__module__": self.__name__})
        setattr(self, name, made)
        return made


class _Ours(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds every module of the foreign packages, and fills it with our words."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] not in FOREIGN:
            return None
        return importlib.util.spec_from_loader(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update(WORDS.get(module.__name__, {}))


def install() -> None:
    """Make `langgraph` ours in this process. RuntimeError where LangGraph is imported already."""
    there = [name for name in sys.modules if name.partition(".")[0] in FOREIGN]
    if there:
        raise RuntimeError(f"{min(there)} is imported already, so its tests would not run on ours.")
    sys.meta_path.insert(0, _Ours())
    allowed.is_allowed = _allowed_at_sight


def _allowed_at_sight(cls: type) -> bool:
    """LangGraph stores objects of all classes that it can, where ours have to be allowed first."""
    if cls not in allowed._names and allowed.is_allowable(cls):
        allowed.allow(cls)
        allowed._implied.add(cls)  # nobody has named it
    return cls in allowed._names
