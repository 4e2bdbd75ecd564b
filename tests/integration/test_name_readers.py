"""Names that a database keeps in another form are read, at every door, as they were given."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from io import StringIO
from typing import Any, TypedDict

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.test import APIClient

from artifacts.models import Artifact
from runs import workflows
from runs.engine import START, StateGraph, SyncContext, interrupt
from runs.engine.ids import uuid7
from runs.errors import Problem
from runs.fields import INDEXED, indexed, read_name, stored_name
from runs.models import Checkpoint, Event, PendingWrite, Run, State
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from runs.operations.pause import pause_workflow, unpause_workflow
from runs.operations.replay import replay_run
from tests.integration.counting import Register

pytestmark = pytest.mark.django_db(transaction=True)

NODE, KEY = "n\x00" * 20, "k\x00"


@given(st.text(), st.text())
def test_every_name_is_read_as_it_was_given(one: str, other: str) -> None:
    for name in (one, f"\x00{one}", f"\x01{one}"):
        assert read_name(stored_name(name)) == name
        assert "\x00" not in stored_name(name)
    assert (stored_name(one) == stored_name(other)) == (one == other)


@given(st.text(max_size=20))
def test_long_paths_have_a_digest_of_their_own(end: str) -> None:
    long = "n" * INDEXED
    assert indexed(long) == long
    assert len(indexed(long + "|" + end)) < 100
    assert indexed(long + "|a" + end) != indexed(long + "|b" + end)


def save(state: Any, ctx: SyncContext) -> Any:
    ctx.save_artifact("a.txt", "x")
    return {KEY: interrupt("?")}


def make(name: str) -> str:
    typed: Any = TypedDict
    keys = typed("keys", {KEY: Any}, total=False)
    inner = StateGraph(keys).add_node(NODE, save).add_edge(START, NODE).compile()
    for _ in range(9):
        inner = StateGraph(keys).add_node(NODE, inner).add_edge(START, NODE).compile()
    return workflows.register(name, inner, input_schema={"type": "object"}).name


@pytest.fixture
def waiting(register: Register, drain: Callable[[], None]) -> Run:
    """A run that asks, ten graphs deep, with a NUL in each of its names."""
    run = create_run(NewRun(workflow=make("deep"), payload={}))
    drain()
    run.refresh_from_db()
    assert run.status == "interrupted", run.error
    return run


def test_every_reader_shows_them(waiting: Run, api: APIClient, drain: Callable[[], None]) -> None:
    answered = api.post(f"/api/runs/{waiting.id}/resume", {"resume": "yes"}, format="json")
    assert answered.status_code in (200, 202), answered.json()
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    for model in (Checkpoint, State, PendingWrite, Event, Artifact):
        app, name = model._meta.app_label, model._meta.model_name
        assert client.get(reverse(f"admin:{app}_{name}_changelist")).status_code == 200
        for pk in model.objects.values_list("pk", flat=True)[:5]:
            page = reverse(f"admin:{app}_{name}_change", args=[pk])
            assert client.get(page).status_code == 200
    drain()
    frames = api.get(f"/api/runs/{waiting.id}/events?limit=1000").json()["results"]
    assert {frame["node"] for frame in frames if "node" in frame} == {NODE}
    shown = api.get(f"/api/runs/{waiting.id}/state").json()
    assert shown["values"] == {KEY: "yes"}
    (artifact,) = Artifact.objects.filter(name="a.txt")
    assert artifact.node == NODE
    out = StringIO()
    with pytest.raises(SystemExit, match="0"):  # it completed
        call_command("follow", str(waiting.id), stdout=out)
    assert out.getvalue()


def test_a_key_with_a_nul_is_replayed_and_forked(waiting: Run, drain: Callable[[], None]) -> None:
    again = replay_run(waiting.id, from_step=0)
    drain()
    again.refresh_from_db()
    assert again.status == "interrupted"
    assert PendingWrite.objects.filter(run=again, node=NODE).exists()


def test_long_paths_that_sqlite_kept_are_given_their_digest(waiting: Run) -> None:
    """As an earlier version left them; Postgres refused them."""
    parent = Checkpoint.objects.filter(full_namespace=None).first()
    assert parent is not None
    path = "n" * INDEXED + "|m"
    old = Checkpoint.objects.create(
        id=uuid7(), thread_id=parent.thread_id, run=waiting, namespace=path, step=0,
        source="input", versions="{}", frontier=json.dumps({"nodes": []}),
        created_at=parent.created_at,
    )  # fmt: skip
    import_module("runs.migrations.0013_names_of_any_length").shorten(apps, connection)
    old.refresh_from_db()
    assert (old.namespace, old.path) == (indexed(path), path)


@pytest.mark.parametrize("name", ["n\x00", "\ud800"], ids=["NUL", "half of a pair"])
def test_no_database_is_asked_for_a_workflow_that_cannot_be(name: str) -> None:
    for change in (pause_workflow, unpause_workflow):
        with pytest.raises(Problem) as refused:
            change(name)
        assert refused.value.status == 404
