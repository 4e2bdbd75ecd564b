"""GET /, /new and /runs/{id}: the page that carries the dashboard"""

from __future__ import annotations

import json
import re
from pathlib import Path
from uuid import UUID

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client

from fastgraph_site.environment import BASE_DIR
from fastgraph_site.web import dashboard

pytestmark = pytest.mark.django_db

RUN = f"/runs/{UUID(int=0)}"


@pytest.mark.parametrize("path", ["/", "/?status=failed", "/new", RUN, f"{RUN}?tab=state"])
def test_it_works(path: str) -> None:
    response = Client().get(path)

    assert response.status_code == 200
    files = re.findall(r'(?:src|href)="/static/([^"]+)"', response.text)
    assert {Path(file).suffix for file in files} == {".js", ".css", ".svg", ".woff2"}
    for file in files:
        assert finders.find(file), file


def test_it_is_asked_for_again_each_time() -> None:
    # A page that a browser keeps would name files that the next build took away.
    assert Client().get("/").headers["Cache-Control"] == "no-cache"


def test_only_scripts_of_this_server_run() -> None:
    response = Client().get("/", headers={"host": "localhost:8000"})

    policy = dict(
        directive.strip().split(" ", 1)
        for directive in response.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["connect-src"] == "'self' ws://localhost:8000"
    assert re.findall(r"<script[^>]*>[^<]", response.text) == []
    assert " style=" not in response.text
    assert "<style" not in response.text


@pytest.mark.parametrize("manifest", [None, "{}", "{", '{"src/main.tsx": {}}'])
def test_without_a_build_it_says_how_to_make_one(
    manifest: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if manifest is not None:
        (tmp_path / ".vite").mkdir()
        (tmp_path / ".vite" / "manifest.json").write_text(manifest)
    monkeypatch.setattr(dashboard, "DIST", tmp_path)

    response = Client().get("/")

    assert response.status_code == 503
    assert "make frontend" in response.text
    assert "<script" not in response.text


def test_other_addresses_are_not_pages() -> None:
    assert Client().get("/runs/nonsense").status_code == 404
    assert Client().get("/elsewhere").status_code == 404


def test_it_can_only_be_read() -> None:
    assert Client().post("/").status_code == 405
    assert Client().head("/").status_code == 200


def test_the_types_of_the_dashboard_are_made_from_the_schema_of_today(tmp_path: Path) -> None:
    """When it fails: `make generate`."""
    call_command(
        "spectacular", "--format", "openapi-json", "--file", str(tmp_path / "openapi.json")
    )

    now, committed = (
        json.loads((folder / "openapi.json").read_text())
        for folder in (tmp_path, BASE_DIR / "frontend")
    )
    for part in ("paths", "components"):
        assert committed[part] == now[part]


def test_every_page_has_an_icon() -> None:
    answer = Client().get("/favicon.ico")
    assert (answer.status_code, answer["Location"]) == (302, "/static/dashboard/favicon.svg")
    assert finders.find("dashboard/favicon.svg")
