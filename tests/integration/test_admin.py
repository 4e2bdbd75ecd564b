"""The admin: every page of every model, at a bounded cost, and nothing that breaks the record."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from artifacts.models import Artifact
from runs.admin.base import BoundedPaginator, id_range
from runs.admin.display import SHOWN
from runs.engine.ids import uuid7
from runs.errors import Problem
from runs.models import (
    Checkpoint,
    DeletedRun,
    Event,
    Payload,
    PendingWrite,
    Run,
    RunStatus,
    State,
    Thread,
    Worker,
    WorkflowPause,
)
from runs.operations import delete as operations_delete

OURS = [model for app in ("runs", "artifacts") for model in apps.get_app_config(app).get_models()]
JOURNALS = (Event, State, Checkpoint, Payload, PendingWrite, Worker, Artifact, Thread)
NASTY = '<script>alert("x")</script>'

MakeRun = Callable[..., Run]


@pytest.fixture
def browser(db: None) -> Client:
    client = Client(REMOTE_ADDR="127.0.0.1", headers={"host": "127.0.0.1"})
    client.force_login(User.objects.create_superuser("alice"))
    return client


@pytest.fixture
def make_run(db: None) -> MakeRun:
    """A run with one row of everything that can hang on it."""

    def make(status: str = RunStatus.COMPLETED, thread: Thread | None = None) -> Run:
        thread = thread or Thread.objects.create(metadata={"who": NASTY})
        now, checkpoint, task = timezone.now(), uuid7(), uuid7()
        run = Run.objects.create(
            thread=thread, workflow="text_report", name=NASTY, status=status, seq=1, started_at=now,
            payload={"input": NASTY}, error={"type": NASTY}, checkpoint_id=checkpoint,
        )  # fmt: skip
        value = json.dumps({"text": NASTY})
        Checkpoint.objects.create(
            id=checkpoint, thread=thread, run=run, step=1, source="loop", created_at=now,
            versions=json.dumps({"input": str(checkpoint)}),
            frontier=json.dumps({"nodes": [NASTY]}),
        )  # fmt: skip
        DeletedRun.objects.create(id=uuid7(), thread_id=thread.pk, workflow="gone", deleted_at=now)
        Payload.objects.create(run=run, value={"input": NASTY})
        State.objects.create(
            thread=thread, channel="input", version=checkpoint, base=checkpoint, value=value,
            size=len(value),
        )  # fmt: skip
        PendingWrite.objects.create(
            thread=thread, run=run, checkpoint_id=checkpoint, task_id=task, node="parse",
            kind="writes", value=value,
        )  # fmt: skip
        Event.objects.create(run=run, seq=1, name="created", ts=now, data=value)
        Artifact.objects.create(
            id=uuid7(), run=run, name=NASTY, media_type="text/html", size=5, sha256="a" * 64
        )
        Worker.objects.create(
            host=NASTY, pid=run.created_at.microsecond, process_started=str(run.id)
        )
        WorkflowPause.objects.create(workflow=NASTY, reason=NASTY, ended_at=now)
        return run

    return make


def page(model: type, kind: str = "changelist", pk: object = None) -> str:
    meta = model._meta  # type: ignore[attr-defined]
    name = f"admin:{meta.app_label}_{meta.model_name}_{kind}"
    return reverse(name, args=[] if pk is None else [pk])


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_every_list_and_page_shows_its_rows_escaped(
    browser: Client, make_run: MakeRun, model: type
) -> None:
    make_run()
    rows = model._default_manager.all()  # type: ignore[attr-defined]
    listed = browser.get(page(model))
    assert listed.status_code == 200
    assert page(model, "change", rows[0].pk) in listed.content.decode()
    shown = browser.get(page(model, "change", rows[0].pk))
    assert shown.status_code == 200
    for response in (listed, shown):
        assert NASTY not in response.content.decode()


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_lists_cost_the_same_however_many_rows_there_are(
    browser: Client, make_run: MakeRun, model: type
) -> None:
    make_run()
    browser.get(page(model))
    with CaptureQueriesContext(
        connection,
    ) as few:
        browser.get(page(model))
    for _ in range(12):
        make_run()
    with CaptureQueriesContext(connection) as many:
        browser.get(page(model))
    assert len(many) == len(few) <= 6
    assert not [
        query["sql"] for query in many if "COUNT" in query["sql"] and "LIMIT" not in query["sql"]
    ]


def test_lists_offer_no_counts_of_the_whole_table(browser: Client, make_run: MakeRun) -> None:
    make_run()
    with CaptureQueriesContext(connection) as queries:
        shown = browser.get(page(Run), {"_facets": "True"})
    assert "Show counts" not in shown.content.decode()
    assert not [query for query in queries if "FILTER" in query["sql"]]


def test_lists_leave_large_columns_behind(browser: Client, make_run: MakeRun) -> None:
    make_run()
    for model, column in (
        (Run, "payload"), (Event, "data"), (State, "value"), (PendingWrite, "value"),
        (Payload, "value"),
        (Checkpoint, "versions"), (Checkpoint, "frontier"),
    ):  # fmt: skip
        with CaptureQueriesContext(connection) as queries:
            browser.get(page(model))
        assert not [query for query in queries if f'"{column}"' in query["sql"]], (model, column)


@pytest.mark.parametrize("model", JOURNALS, ids=lambda model: model.__name__)
def test_what_the_journal_owns_refuses_to_be_changed(
    browser: Client, make_run: MakeRun, model: type
) -> None:
    make_run(RunStatus.RUNNING)
    row = model._default_manager.get()  # type: ignore[attr-defined]
    assert browser.post(page(model, "change", row.pk), {"name": "x"}).status_code == 403
    assert browser.post(page(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert browser.get(page(model, "add")).status_code == 403
    after = model._default_manager.get()  # type: ignore[attr-defined]
    assert {**vars(after), "_state": None} == {**vars(row), "_state": None}


def test_a_run_is_labelled_without_touching_what_the_worker_writes(
    browser: Client, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(RunStatus.RUNNING)
    edited = {"name": "Nightly", "metadata": '{"customer": "Ann"}', "tags": '["a", "b"]'}
    with CaptureQueriesContext(connection) as queries:
        answer = browser.post(page(Run, "change", run.pk), {**edited, "status": "failed"})
    assert answer.status_code == 302
    run.refresh_from_db()
    assert (run.name, run.metadata, run.tags) == ("Nightly", {"customer": "Ann"}, ["a", "b"])
    assert run.status == RunStatus.RUNNING
    (update,) = [query["sql"] for query in queries if query["sql"].startswith('UPDATE "runs_run"')]
    assert '"status" =' not in update and '"seq" =' not in update


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metadata", "[1]"),
        ("metadata", '{"a": NaN}'),
        ("metadata", '{"a": "\\u0000"}'),
        ("metadata", '{"a": "\\ud800"}'),
        ("metadata", "{"),
        ("metadata", '{"a":' * 5000),
        ("metadata", f'{{"a": [{"{}," * 400_000}{{}}]}}'),
        ("tags", '{"a": 1}'),
        ("tags", "[1]"),
        ("tags", '[""]'),
        ("tags", json.dumps(["x"] * 21)),
        ("tags", '["a\\u0000"]'),
        ("name", "x" * 201),
        ("name", "a\0b"),
    ],
)
def test_labels_that_cannot_be_kept_are_refused(
    browser: Client, make_run: MakeRun, field: str, value: str
) -> None:
    run = make_run()
    data = {"name": "n", "metadata": "{}", "tags": "[]", field: value}
    answer = browser.post(page(Run, "change", run.pk), data)
    assert answer.status_code == 200
    assert 'class="errorlist"' in answer.content.decode()


@pytest.mark.parametrize("term", ["id", "half", "dashes", "upper", "name", "workflow", "thread"])
def test_runs_are_found(browser: Client, make_run: MakeRun, term: str) -> None:
    run = make_run()
    elsewhere = UUID(int=run.id.int ^ (0xFF << 100))  # another moment: the first digits differ
    thread = Thread.objects.create(id=elsewhere)
    other = Run.objects.create(id=elsewhere, thread=thread, workflow="steps")
    Run.objects.filter(pk=run.pk).update(name="Chapter one")
    words = {
        "id": str(run.id), "half": run.id.hex[:9], "dashes": str(run.id)[:15],
        "upper": run.id.hex[:12].upper(), "name": "chapter", "workflow": "text_",
        "thread": str(run.thread_id),
    }  # fmt: skip
    found = browser.get(page(Run), {"q": words[term]}).content.decode()
    assert page(Run, "change", run.pk) in found
    assert page(Run, "change", other.pk) not in found


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_any_search_is_answered(browser: Client, make_run: MakeRun, model: type) -> None:
    make_run()
    for term in ("zz", "a\0b", "%", "018f", "-" * 40, "'\"", "日本"):
        assert browser.get(page(model), {"q": term}).status_code == 200, term


def test_ids_are_searched_as_a_range() -> None:
    assert id_range("018F-aa") == (
        UUID("018faa00-0000-0000-0000-000000000000"),
        UUID("018faaff-ffff-ffff-ffff-ffffffffffff"),
    )
    assert id_range("018") is None
    assert id_range("nothex00") is None
    assert id_range("0" * 33) is None


def test_a_filter_that_makes_no_sense_is_no_error(browser: Client, make_run: MakeRun) -> None:
    make_run()
    for query in ("run__id__exact=nonsense", "name=created", "p=999999", "x=y"):
        answer = browser.get(f"{page(Event)}?{query}", follow=True)
        assert answer.status_code == 200, query


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_a_filter_that_no_database_takes_is_no_error(browser: Client, model: type) -> None:
    for query in ("id__in=99999999999999999999", "name=%00", "workflow=%00", "node=%00"):
        answer = browser.get(f"{page(model)}?{query}", follow=True)
        assert answer.status_code == 200, query


def test_a_run_leads_to_all_that_hangs_on_it(browser: Client, make_run: MakeRun) -> None:
    run, other = make_run(), make_run()
    shown = browser.get(page(Run, "change", run.pk)).content.decode()
    assert page(Thread, "change", run.thread_id) in shown
    assert page(Checkpoint, "change", run.checkpoint_id) in shown
    for model in (Event, Checkpoint, Artifact):
        url = f"{page(model)}?run__id__exact={run.pk}"
        assert url in shown
        listed = browser.get(url).content.decode()
        own = model._default_manager.get(run=run)
        foreign = model._default_manager.get(run=other)
        assert page(model, "change", own.pk) in listed
        assert page(model, "change", foreign.pk) not in listed


def test_events_of_one_run_are_filtered_by_name(browser: Client, make_run: MakeRun) -> None:
    run = make_run()
    other = Event.objects.create(run=run, seq=2, name="custom", ts=timezone.now())
    listed = browser.get(f"{page(Event)}?run__id__exact={run.pk}&name=created").content.decode()
    assert page(Event, "change", Event.objects.get(seq=1).pk) in listed
    assert page(Event, "change", other.pk) not in listed


def test_a_large_value_is_cut_with_its_size(browser: Client, make_run: MakeRun) -> None:
    make_run()
    State.objects.update(value=json.dumps("y" * 50_000))
    url = page(State, "change", State.objects.get().pk)
    with CaptureQueriesContext(connection) as queries:
        shown = browser.get(url).content.decode()
    assert "y" * (SHOWN - 1) in shown and "y" * SHOWN not in shown
    assert "The first 20,000 of 50,002 characters." in shown
    # Only the part that is shown leaves the database.
    whole = [query for query in queries if '"runs_state"."value"' in query["sql"]]
    assert whole and all("SUBSTR" in query["sql"].upper() for query in whole)


def test_a_long_list_says_that_there_is_more(
    browser: Client, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        make_run()
    assert "There are more" not in browser.get(page(Run)).content.decode()
    monkeypatch.setattr(BoundedPaginator, "LIMIT", 2)
    shown = browser.get(page(Run)).content.decode()
    assert "There are more" in shown and "2 runs" in shown


def test_a_finished_run_is_deleted_with_what_hangs_on_it(
    browser: Client, make_run: MakeRun
) -> None:
    run, other = make_run(), make_run()
    Run.objects.filter(pk=other.pk).update(source_run=run)
    asked = browser.get(page(Run, "delete", run.pk))
    assert asked.status_code == 200
    answer = browser.post(page(Run, "delete", run.pk), {"post": "yes"})
    assert answer.status_code == 302
    assert [left.pk for left in Run.objects.all()] == [other.pk]
    for model in (Thread, Event, Checkpoint, Payload, State, PendingWrite, Artifact):
        assert model._default_manager.count() == 1, model
    other.refresh_from_db()
    assert other.source_run_id is None


@pytest.mark.parametrize("status", ["pending", "running", "sleeping", "interrupted"])
def test_an_unfinished_run_cannot_be_deleted(
    browser: Client, make_run: MakeRun, status: str
) -> None:
    run = make_run(status)
    assert browser.post(page(Run, "delete", run.pk), {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [str(run.pk)], "post": "yes"}
    browser.post(page(Run), chosen)
    browser.post(page(Thread), {**chosen, "_selected_action": [str(run.thread_id)]})
    assert Run.objects.filter(pk=run.pk).exists()
    with pytest.raises(Problem, match=status):
        operations_delete.delete_run(run.pk)
    with pytest.raises(Problem, match=status):
        operations_delete.delete_thread(run.thread_id)


def test_a_run_that_others_may_stand_on_goes_only_with_its_thread(
    browser: Client, make_run: MakeRun
) -> None:
    first = make_run()
    second = make_run(thread=first.thread)
    assert browser.post(page(Run, "delete", first.pk), {"post": "yes"}).status_code == 403
    with pytest.raises(Problem, match="shares its thread with 1 more"):
        operations_delete.delete_run(first.pk)
    answer = browser.post(page(Thread, "delete", first.thread_id), {"post": "yes"})
    assert answer.status_code == 302
    assert not Run.objects.filter(pk__in=[first.pk, second.pk]).exists()


def test_several_runs_are_deleted_at_once(browser: Client, make_run: MakeRun) -> None:
    chosen = [str(make_run().pk) for _ in range(2)]
    kept = make_run()
    data = {"action": "delete_selected", "_selected_action": chosen}
    asked = browser.post(page(Run), data)
    assert asked.status_code == 200
    assert browser.post(page(Run), {**data, "post": "yes"}).status_code == 302
    assert [run.pk for run in Run.objects.all()] == [kept.pk]


def test_asking_to_delete_a_run_does_not_load_its_events(
    browser: Client, make_run: MakeRun
) -> None:
    run = make_run()
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(page(Run, "delete", run.pk)).status_code == 200
    assert not [query for query in queries if 'FROM "runs_event"' in query["sql"]]


def test_deleting_what_is_not_there(db: None) -> None:
    for delete in (operations_delete.delete_run, operations_delete.delete_thread):
        with pytest.raises(Problem) as unknown:
            delete(uuid7())
        assert unknown.value.status == 404


def test_a_worker_is_alive_as_long_as_its_lease(browser: Client, make_run: MakeRun) -> None:
    make_run()
    alive = '<td class="field-alive"><img src="/static/admin/img/icon-yes.svg" alt="True">'
    assert alive in browser.get(page(Worker)).content.decode()
    Worker.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    assert alive not in browser.get(page(Worker)).content.decode()


def test_the_admin_carries_the_projects_name_and_a_way_back(browser: Client) -> None:
    shown = browser.get("/admin/").content.decode()
    assert "FastGraph Server" in shown and "Django administration" not in shown
    assert '<a href="/">Dashboard</a>' in shown


def test_a_stranger_sees_nothing(db: None, make_run: MakeRun) -> None:
    run = make_run()
    stranger = Client(REMOTE_ADDR="203.0.113.9")
    for url in (page(Run), page(Run, "change", run.pk)):
        answer = stranger.get(url)
        assert answer.status_code in (302, 403)
        assert str(run.pk) not in answer.content.decode().replace(url, "")
