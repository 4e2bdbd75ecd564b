"""The example of the README is a workflow, and does what the README says."""

from __future__ import annotations

import hashlib
import sys
from types import ModuleType
from typing import Any

import pytest

from runs import workflows
from runs.engine import ArtifactRef, Blob, CompiledGraph
from tests.support.readme import block


class Shelf:
    """An artifact store in memory."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> Blob:
        self.written.append(data)
        return Blob(size=len(data), sha256=hashlib.sha256(data).hexdigest())

    def attach(self, ref: ArtifactRef) -> None:
        assert ref.name == "letter.md"


def test_the_example_says_hello_and_wishes_well(monkeypatch: pytest.MonkeyPatch) -> None:
    registered: dict[str, CompiledGraph] = {}

    def register(name: str, graph: CompiledGraph, **_: Any) -> None:
        registered[name] = graph

    monkeypatch.setattr(workflows, "register", register)
    module = ModuleType("greetings_of_the_readme")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(block("Your own workflow in five minutes", "python"), module.__dict__)

    shelf = Shelf()
    state = registered["greetings"].invoke({"input": "world"}, artifacts=shelf)
    assert state["lines"] == ["Hello, world.", "Have a good day, world."]
    assert shelf.written == ["\n".join(state["lines"]).encode()]
