"""Each configuration error is found, and the configuration as it comes has none."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core import checks as django_checks
from django.db import connection
from pytest_django import Settings

from fastgraph_site.environment import BASE_DIR
from runs import checks


def ids(found: list[Any]) -> list[str]:
    return [message.id for message in found]


def test_all_is_well_as_it_comes(db: None) -> None:
    found = django_checks.run_checks(databases=["default"])
    assert [message for message in found if (message.id or "").startswith(("runs", "artif"))] == []


def test_another_database(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "vendor", "mysql")
    assert ids(checks.database_is_supported()) == ["runs.E001"]


@pytest.mark.parametrize("options", [{"transaction_mode": "DEFERRED"}, {}])
def test_transactions_that_are_not_immediate(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, options: dict[str, str]
) -> None:
    monkeypatch.setattr(connection, "vendor", "sqlite")
    monkeypatch.setitem(settings.DATABASES["default"], "OPTIONS", options)
    assert ids(checks.database_is_supported()) == ["runs.E002"]


def test_a_journal_that_is_no_wal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cursor:
        def __enter__(self) -> Cursor:
            return self

        def __exit__(self, *exception: object) -> None: ...

        def execute(self, sql: str) -> Cursor:
            assert sql == "PRAGMA journal_mode"
            return self

        def fetchone(self) -> tuple[str]:
            return ("delete",)

    monkeypatch.setattr(connection, "vendor", "sqlite")
    monkeypatch.setattr(connection, "cursor", Cursor)
    assert ids(checks.database_is_sound(databases=["default"])) == ["runs.E003"]
    assert checks.database_is_sound(databases=None) == []


def test_a_data_folder_that_is_none(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings.FASTGRAPH = {**settings.FASTGRAPH, "data_dir": tmp_path / "file"}
    assert ids(checks.data_folder_is_writable()) == ["runs.E004"]


def test_jobs_that_may_run_longer_than_the_queue_waits(settings: Settings) -> None:
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "timeout": 90, "retry": 90}
    assert ids(checks.queue_waits_longer_than_jobs()) == ["runs.E005"]


@pytest.mark.parametrize("path", ["no.such.module", "runs.models.nope", "runs.checks.__name__"])
def test_a_job_that_cannot_be_imported(settings: Settings, path: str) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "worker_job": path}
    assert ids(checks.worker_job_can_be_imported()) == ["runs.E006"]


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("", []),
        ("redis://localhost:6379/0", []),
        ("localhost:6379", ["runs.E007"]),
        ("http://localhost", ["runs.E007"]),
    ],
)
def test_the_address_of_redis(settings: Settings, url: str, found: list[str]) -> None:
    settings.REDIS_URL = url
    assert ids(checks.redis_address_is_one()) == found


@pytest.mark.parametrize(
    ("name", "value"),
    [("workers", 0), ("concurrency", 0), ("lease_seconds", -1.0), ("sweep_seconds", float("nan"))],
)
def test_numbers_that_make_no_sense(settings: Settings, name: str, value: float) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, name: value}
    (error,) = checks.numbers_make_sense()
    assert error.id == "runs.E008" and f"FASTGRAPH_{name.upper()}" in error.msg


def test_a_password_in_an_address_is_not_shown(settings: Settings) -> None:
    settings.REDIS_URL = "amqp://user:secret@host"
    (error,) = checks.redis_address_is_one()
    assert "secret" not in f"{error.msg}{error.hint}"


@pytest.mark.processes
def test_starting_django_registers_our_checks() -> None:
    """In a process of its own: the tests themselves import the modules that have checks."""
    program = (
        "import django; django.setup(); from django.core.checks.registry import registry;"
        " print(*sorted({check.__module__ for check in registry.get_checks()}))"
    )
    registered = subprocess.run(
        [sys.executable, "-c", program], cwd=BASE_DIR, capture_output=True, text=True, check=True
    ).stdout.split()
    for app in ("artifacts", "fastgraph_site", "runs", "streaming"):
        for path in (BASE_DIR / app).rglob("*.py"):
            if re.search(r"^@register\(", path.read_text(), re.MULTILINE):
                assert ".".join(path.relative_to(BASE_DIR).with_suffix("").parts) in registered
