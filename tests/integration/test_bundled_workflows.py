"""The workflows that come with the server, from payload to artifacts, on a graph in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from pytest_django import Settings

from artifacts.store import FileStore, store
from fastgraph_site.examples.table import TableError
from fastgraph_site.workflows import read_table
from runs import workflows
from runs.engine import ArtifactRef, Blob, MemoryJournal
from runs.engine.ids import uuid7
from runs.errors import Problem
from runs.models import Run, Thread

CSV = "city;population\nOslo;717710\nBergen;291940\n"


class Files:
    """A store that keeps what was saved, by name."""

    def __init__(self) -> None:
        self._bytes: dict[str, bytes] = {}

    def write(self, data: bytes) -> Blob:
        self._bytes[str(len(self._bytes))] = data
        return Blob(sha256=str(len(self._bytes) - 1), size=len(data))

    def attach(self, ref: ArtifactRef) -> None: ...

    def last(self, count: int) -> list[bytes]:
        return list(self._bytes.values())[-count:]


@pytest.fixture
def files() -> Iterator[Files]:
    yield Files()


def execute(name: str, payload: dict[str, Any], files: Files) -> dict[str, Any]:
    output: dict[str, Any] = workflows.get(name).graph.invoke(payload, artifacts=files)
    return output


@pytest.mark.parametrize("name", ["text_report", "csv_profile", "steps", "ledger", "tokens"])
def test_the_form_has_what_it_needs(name: str) -> None:
    workflow = workflows.get(name)
    schema: Any = workflow.input_schema
    Draft202012Validator.check_schema(schema)
    assert workflow.description
    for field in schema["properties"].values():
        assert field["title"] and field["description"]
    example = {
        key: field.get("default", next(iter(field.get("examples", [])), None))
        for key, field in schema["properties"].items()
        if "default" in field or "examples" in field
    }
    Draft202012Validator(schema).validate(example)


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("text_report", {}),
        ("text_report", {"input": ""}),
        ("text_report", {"input": "a", "more": 1}),
        ("csv_profile", {}),
        ("csv_profile", {"input": "a", "artifact": "b"}),
        ("csv_profile", {"artifact": "b"}),
        ("steps", {"steps": 0}),
        ("steps", {"steps": 1, "seconds": -1}),
        ("ledger", {"transfers": 0}),
        ("tokens", {"count": 10**9}),
    ],
)
def test_payloads_that_do_not_fit(name: str, payload: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Draft202012Validator(dict(workflows.get(name).input_schema)).validate(payload)


@pytest.mark.parametrize(
    ("name", "payload", "key"),
    [("steps", {"steps": 3}, "seconds"), ("tokens", {"count": 3}, "interval")],
)
def test_what_is_left_out_is_what_the_form_says(
    name: str, payload: dict[str, Any], key: str, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", note)
    execute(name, payload, files)
    schema: Any = workflows.get(name).input_schema
    assert set(waits) == {schema["properties"][key]["default"]}


def test_a_text_report(files: Files) -> None:
    result = execute("text_report", {"input": "The red fox. A red fox is here."}, files)
    assert result.keys() == {"counts", "scores", "terms", "summary"}
    assert result["counts"]["words"] == 8
    assert result["terms"][0]["term"] == "red fox"
    (report,) = files.last(1)
    assert report.decode().startswith("# Text report\n\n**8 words** in 2 sentences")
    json.dumps(result)


def test_a_csv_profile(files: Files) -> None:
    result = execute("csv_profile", {"input": CSV}, files)
    assert result["rows"] == 2
    assert [(c["name"], c["type"]) for c in result["columns"]] == [
        ("city", "text"),
        ("population", "integer"),
    ]
    profile, chart = files.last(2)
    assert json.loads(profile) == result
    assert chart.startswith(b"<svg ")


def test_a_csv_profile_of_an_artifact(
    files: Files, db: None, tmp_path: Path, settings: Settings
) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "data_dir": tmp_path}
    blob = store().write(b"\xff\xfe" + CSV.encode("utf-16-le"))
    artifact = _attach(store(), blob)
    command = read_table({"artifact": artifact})
    assert [send.arg["values"] for send in command.goto] == [  # type: ignore[union-attr]
        ["Oslo", "Bergen"],
        ["717710", "291940"],
    ]
    with pytest.raises(Problem, match="no artifact"):
        read_table({"artifact": str(uuid7())})


def _attach(to: FileStore, blob: Blob) -> str:
    run = Run.objects.create(thread=Thread.objects.create(), workflow="text_report")
    artifact = str(uuid7())
    to.attach(
        ArtifactRef(
            artifact_id=artifact,
            run_id=str(run.pk),
            node="",
            name="data.csv",
            media_type="text/csv",
            size=blob.size,
            sha256=blob.sha256,
        )
    )
    return artifact


def test_a_csv_that_is_none_says_why(files: Files) -> None:
    with pytest.raises(TableError, match="empty"):
        execute("csv_profile", {"input": "  \n"}, files)


def test_steps_are_done_one_after_another(files: Files) -> None:
    assert execute("steps", {"steps": 3, "seconds": 0}, files)["done"] == [1, 2, 3]


def test_a_step_fails_where_it_is_told_to(files: Files) -> None:
    with pytest.raises(RuntimeError, match="Step 2 fails"):
        execute("steps", {"steps": 3, "fail_at": 2}, files)


def test_a_thread_that_has_done_some_steps_goes_on() -> None:
    graph = workflows.get("steps").graph
    thread = str(uuid7())
    graph.invoke({"steps": 2, "seconds": 0}, thread_id=thread)
    assert graph.invoke({"steps": 4, "seconds": 0}, thread_id=thread)["done"] == [1, 2, 3, 4]
    assert graph.invoke({"steps": 4, "seconds": 0}, thread_id=thread)["done"] == [
        1,
        2,
        3,
        4,
        1,
        2,
        3,
        4,
    ]


def test_tokens_are_sent_in_order() -> None:
    graph = workflows.get("tokens").graph
    thread = str(uuid7())

    async def collect() -> list[Any]:
        journal = MemoryJournal()
        await graph.ainvoke({"count": 3, "interval": 0}, thread_id=thread, journal=journal)
        (run_id,) = {checkpoint.run_id for checkpoint in await journal.history(thread)}
        events = await journal.events(run_id)
        return [event["data"] for event in events if event["event"] == "custom"]

    sent = asyncio.run(collect())
    assert [each["i"] for each in sent] == [0, 1, 2]
    assert sent[0]["t_ns"] <= sent[1]["t_ns"] <= sent[2]["t_ns"]


def test_a_ledger(files: Files) -> None:
    result = execute("ledger", {"transfers": 3}, files)
    booked = [(entry["transfer"], entry["amount"]) for entry in result["entries"]]
    assert sorted(booked) == [(1, -101), (1, 101), (2, -102), (2, 102), (3, -103), (3, 103)]
    assert result["balance"] == 0
