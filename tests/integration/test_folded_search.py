"""Search in any case: of every script, however its accents are encoded, the same on SQLite and on
Postgres."""

from __future__ import annotations

import threading
import unicodedata
from uuid import uuid4

import pytest
from django.db import connections
from django.db.models import Value
from django.test import Client as Browser
from django.utils import timezone
from rest_framework.test import APIClient

from artifacts.models import Artifact
from runs.db.case_folding import Folded, fold
from runs.models import Run, Thread, Worker
from runs.operations.create import create_run
from runs.operations.new_run import NewRun

pytestmark = pytest.mark.django_db

SAME = [
    ("Report", "rEPORT"),
    ("Stra\u00dfe", "STRASSE"),
    ("\u00c4PFEL", "\u00e4pfel"),
    ("caf\u00e9", "CAFE\u0301"),
    ("CAFE\u0301", "caf\u00e9"),
    ("\u039f\u0394\u039f\u03a3", "\u03bf\u03b4\u03cc\u03c2".replace("\u03cc", "\u03bf")),
    ("\u041e\u0422\u0427\u0401\u0422", "\u043e\u0442\u0447\u0451\u0442"),
    ("\u0130STANBUL", "istanbul"),
    ("istanbul", "\u0130stanbul"),
    ("I\u015eIK", "\u0131\u015f\u0131k"),
    ("\u0540\u0531\u0545", "\u0570\u0561\u0575"),
    ("\uff21\uff22\uff23", "abc"),
    ("\ufb01nal", "FINAL"),
    ("\u1fb3", "\u0391\u0399"),
    ("\u00b5m", "\u039cM"),
    ("\U00010400", "\U00010428"),
    ("50% _off_ \\", "50% _OFF_ \\"),
]
IDS = [f"{number}-{unicodedata.name(one[0]).split()[0]}" for number, (one, _) in enumerate(SAME)]
OTHER = [
    ("caf\u00e9", "cafe"),
    ("\u00c4pfel", "apfel"),
    ("abc", "a_c"),
    ("abc", "a%"),
    ("\u65e5\u672c", "\u672c\u65e5"),
]


@pytest.fixture
def browser() -> Browser:
    return Browser(REMOTE_ADDR="127.0.0.1", headers={"host": "127.0.0.1"})


@pytest.mark.parametrize(("name", "sought"), SAME, ids=IDS)
def test_the_api_finds_a_run_by_its_name(
    api: APIClient, trail: str, name: str, sought: str
) -> None:
    run = create_run(NewRun(workflow=trail, name=f"q3 {name} end", payload={"input": "x"}))

    found = api.get("/api/runs", {"q": f"3 {sought} E"}).json()["results"]

    assert [row["id"] for row in found] == [str(run.pk)]
    assert api.get("/api/runs", {"q": f"{sought} nothing"}).json()["results"] == []


@pytest.mark.parametrize(("name", "sought"), OTHER, ids=["acute", "diaeresis", "any", "all", "cjk"])
def test_another_text_is_not_found(api: APIClient, trail: str, name: str, sought: str) -> None:
    create_run(NewRun(workflow=trail, name=name, payload={"input": "x"}))

    assert api.get("/api/runs", {"q": sought}).json()["results"] == []


@pytest.mark.parametrize(("name", "sought"), SAME, ids=IDS)
def test_the_admin_finds_what_begins_so(
    browser: Browser, trail: str, name: str, sought: str
) -> None:
    run = create_run(NewRun(workflow=trail, name=f"{name} q3", payload={"input": "x"}))
    row = {"run": run, "media_type": "text/plain", "size": 1, "sha256": "ab" * 32}
    made = Artifact.objects.create(id=uuid4(), name=f"{name}.txt", **row)
    worker = Worker.objects.create(
        id=uuid4(), host=f"{name}.local", pid=1, heartbeat_at=timezone.now()
    )

    def found(model: str, text: str) -> bool:
        answer = browser.get(f"/admin/{model}/", {"q": text})
        pks = [row.pk for row in answer.context["cl"].result_list]
        return pks in ([run.pk], [made.pk], [worker.pk])

    assert found("runs/run", f"{sought} Q")
    assert found("artifacts/artifact", f"{sought}.T")
    assert found("artifacts/artifact", "ABAB")
    assert found("runs/worker", f"{sought}.LOCAL")
    assert not found("runs/run", f"x{sought}")
    assert not found("artifacts/artifact", "ABAC")


def test_a_search_longer_than_any_text_is_answered(browser: Browser, trail: str) -> None:
    for model in ("runs/run", "artifacts/artifact", "runs/worker", "runs/workflowpause"):
        assert browser.get(f"/admin/{model}/", {"q": "\ufdfa" * 1500}).status_code == 200


def test_the_database_folds_as_python_does() -> None:
    texts = [one for pair in SAME for one in pair]
    texts += [chr(code) for code in range(1, 0x2000) if not 0x13A0 <= code <= 0x13FF]
    texts = [text for text in texts if unicodedata.category(text[0]) != "Cn"]
    one = Thread.objects.filter(pk=Thread.objects.create().pk)  # a row to ask with
    for start in range(0, len(texts), 100):
        some = texts[start : start + 100]
        (row,) = one.values_list(*(Folded(Value(text)) for text in some))
        assert list(row) == [fold(text) for text in some]


def test_every_new_connection_can_fold(trail: str) -> None:
    found: list[bool] = []

    def elsewhere() -> None:
        try:
            found.append(Run.objects.filter(name__folded="\u00c4").exists())
        finally:
            connections.close_all()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    own = connections.create_connection("default")
    with own.cursor() as cursor:
        lookup = Run.objects.filter(name__folded__contains="\u00c4").values("pk").query
        cursor.execute(*lookup.sql_with_params())
    own.close()
    assert found == [False]
