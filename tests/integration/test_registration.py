"""What `register()` takes, and what it refuses: never what a database or a client would refuse
later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypedDict
from urllib.parse import quote

import pytest
from rest_framework.test import APIClient

from runs import workflows
from runs.engine import START, CompiledGraph, StateGraph
from runs.models import Run
from tests.integration.counting import Register
from tests.integration.test_names_everywhere import NAMES, Mixed, Plain

pytestmark = pytest.mark.django_db(transaction=True)


class State(TypedDict, total=False):
    a: int


class Choice(TypedDict, total=False):
    a: Literal["\ud800"]


def graph(state: Any = State) -> CompiledGraph:
    builder = StateGraph(state).add_node("n", lambda state: {"a": 1}).add_edge(START, "n")
    return builder.compile()


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "name of 501": ("the name has 501 characters|it has 501 characters", {"name": "n" * 501}),
    "the end of another path": ("cannot end as 'n/pause' does", {"name": "n/pause"}),
    "slash at the end": ("cannot end as 'n/' does", {"name": "n/"}),
    "no name": ("needs a name", {"name": ""}),
    "NUL in the name": ("has a NUL character", {"name": "n\x00"}),
    "override in the name": (r"invisible character U\+202E", {"name": "n\u202e"}),
    "blank name": ("nothing that can be seen", {"name": " \u200b"}),
    "half a pair in the name": ("half of a surrogate pair", {"name": "n\udc00"}),
    "a number as the name": ("The name of a workflow is a text", {"name": 5}),
    "None as the name": ("The name of a workflow is a text", {"name": None}),
    "bytes as the name": ("The name of a workflow is a text", {"name": b"n"}),
    "version of 501": ("The version of a workflow cannot be", {"version": "1" * 501}),
    "a number as the version": ("The version of a workflow is a text", {"version": 2}),
    "NUL in the version": ("has a NUL character", {"version": "1\x00"}),
    "not compiled": ("register what compile", {"graph": StateGraph(State)}),
    "half a pair in the description": ("half of a surrogate", {"description": "\ud800"}),
    "a number as the description": ("is a text, not a int", {"description": 5}),
    "half a pair in the schema": ("half of a surrogate", {"input_schema": {"title": "\ud800"}}),
    "half a pair in the state": ("half of a surrogate", {"graph": graph(Choice)}),
    "no schema": ("is a mapping", {"input_schema": 5}),
    "limit of 0": ("a whole number, 1 or more", {"concurrency_limit": 0}),
    "limit that is too great": ("a whole number, 1 or more", {"key_limit": 2**31}),
    "True as a limit": ("a whole number, 1 or more", {"concurrency_limit": True}),
    "a text as a limit": ("a whole number, 1 or more", {"concurrency_limit": "3"}),
    "None as the limit of a key": ("a whole number, 1 or more", {"key_limit": None}),
    "a text as the function of keys": ("give a function", {"concurrency_key": "id"}),
}


@pytest.mark.parametrize(("says", "given"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_stored_or_shown_is_refused(
    says: str, given: dict[str, Any], register: Register
) -> None:
    before = set(workflows.registered())
    with pytest.raises(ValueError, match=says):
        workflows.register(**{"name": "n", "graph": graph(), **given})
    assert set(workflows.registered()) == before


def test_names_and_versions_that_are_taken_work_at_every_door(
    register: Register, api: APIClient, drain: Callable[[], None]
) -> None:
    made = []
    for name in {str.__str__(name): name for name in NAMES.values()}.values():
        try:
            made.append(workflows.register(name, graph(), version=name or "1").name)
        except ValueError:
            continue
    assert {"plain", "mixed", "n" * 201, "n|m", NAMES["500 of four bytes"]} <= set(made)
    for name in made:
        created = api.post("/api/runs/", {"workflow": name}, format="json")
        assert created.status_code == 201, created.json()
        assert created.json()["workflow_version"] == name
    drain()
    assert set(Run.objects.values_list("status", flat=True)) == {"completed"}
    for name in made:
        _is_reached(api, name)
    assert api.get("/api/workflows/").status_code == 200


def _is_reached(api: APIClient, name: str) -> None:
    (run,) = api.get("/api/runs/", {"workflow": name}).json()["results"]
    assert run["workflow"] == run["workflow_version"] == name
    place = f"/api/workflows/{quote(name, safe='')}"
    for path in (place, f"{place}/"):
        assert api.get(path).json()["name"] == name
        assert api.post(f"{path.rstrip('/')}/pause", {}, format="json").status_code == 200
        assert api.post(f"{path.rstrip('/')}/unpause/", {}, format="json").status_code == 200


@pytest.mark.parametrize("name", ["a/b", "a/b/c", "pause", "a/pausex", "/a", "a//b"])
def test_a_workflow_with_slashes_in_its_name_is_reached(
    name: str, register: Register, api: APIClient
) -> None:
    workflows.register(name, graph(), version=name)
    api.post("/api/runs/", {"workflow": name}, format="json")
    _is_reached(api, name)


def test_a_member_of_an_enum_names_what_its_text_names(register: Register) -> None:
    for member in (Plain.NAME, Mixed.NAME):
        made = workflows.register(member, graph(), version=member)
        assert (type(made.name), type(made.version)) == (str, str)
        assert workflows.get(str.__str__(member)) is made


def test_what_a_router_answers_is_drawn_whatever_it_is(register: Register, api: APIClient) -> None:
    builder = StateGraph(State).add_node("n", lambda state: {"a": 1})
    builder.add_conditional_edges(START, lambda state: "\ud800", {"\ud800": "n", Mixed.NAME: "n"})
    workflows.register("drawn", builder.compile())
    drawn = api.get("/api/workflows/drawn").json()["graph"]
    assert {edge["label"] for edge in drawn["edges"]} <= {"?", "mixed", None}
