"""Under which name a browser and `curl -OJ` save an artifact."""

from __future__ import annotations

from email.message import Message
from urllib.parse import unquote
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from artifacts.download_names import disposition, file_name
from artifacts.models import Artifact
from artifacts.store import store
from runs.operations.create import create_run
from runs.operations.new_run import NewRun

KEY = "0123456789abcdef"


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("résumé.pdf", "resume.pdf"),
        ("re\u0301sume\u0301.pdf", "resume.pdf"),
        ("Bericht größer.md", "Bericht grosser.md"),
        ("Łódź & Ærø.csv", "Lodz & AEro.csv"),
        ("отчёт.csv", "artifact-01234567.csv"),
        ("日本語.tar.gz", "artifact-01234567.tar.gz"),
        ("отчёт 2024.csv", "2024.csv"),
        ("q3 \u2013 отчёт \u2013 final.csv", "q3 - _ - final.csv"),
        ("👩\u200d💻.png", "artifact-01234567.png"),
        ("\uff46\uff55\uff4c\uff4c.txt", "full.txt"),
        ("report.данные", "report"),
        ("данные.данные", "artifact-01234567"),
        (".日本", "artifact-01234567"),
        (".日本.txt", "artifact-01234567.txt"),
        ("…", "artifact-01234567"),
        ("日本…", "artifact-01234567"),
        ("._日本", "artifact-01234567"),
        ("\u203f\ufe33.txt", "artifact-01234567.txt"),
        ("___.txt", "___.txt"),
        ('a"b.txt', "a_b.txt"),
        ("100%.txt", "100.txt"),
        ("a:b?.txt", "a_b.txt"),
        ("a\nb.txt", "a_b.txt"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("CON", "_CON"),
        ("aux.txt", "_aux.txt"),
        ("com¹.txt", "_com1.txt"),
        ("COM1 .txt", "_COM1 .txt"),
        ("trailing. ", "trailing"),
        ("a/", "artifact"),
        ("...", "artifact"),
        (".profile", ".profile"),
        ("漢" * 250 + ".txt", "artifact-01234567.txt"),
        ("x" * 300 + ".txt", "x" * 251 + ".txt"),
    ],
    ids=lambda text: text.encode("unicode_escape").decode()[:30],
)
def test_every_name_has_a_plain_stand_in(name: str, plain: str) -> None:
    header = disposition(name, KEY)

    assert header.startswith(f'attachment; filename="{plain}"')
    assert header.isascii()
    assert header.isprintable()


@pytest.mark.parametrize("name", ["report.md", "a b (1), c;d='e'.csv", "README", ".profile"])
def test_a_plain_name_is_sent_once(name: str) -> None:
    assert disposition(name, KEY) == f'attachment; filename="{name}"'
    assert disposition(name, KEY, inline=True) == f'inline; filename="{name}"'


@pytest.mark.parametrize(
    "name",
    ["résumé.pdf", "отчёт.csv", 'a"b.txt', "100%.txt", "a'b*c.ü", "👩\u200d💻.png"],
    ids=["accents", "cyrillic", "quote", "percent", "apostrophe", "emoji"],
)
def test_the_real_name_goes_along(name: str) -> None:
    header = disposition(name, KEY)

    assert unquote(header.partition("filename*=UTF-8''")[2]) == name
    parsed = Message()
    parsed["Content-Disposition"] = header.replace("filename=", "plain=")
    assert parsed.get_filename() == name


def test_a_name_fits_into_a_file_system() -> None:
    for name in ("漢" * 250 + ".txt", "x" * 600, "a." + "é" * 300, "\u0301" * 300):
        assert len(file_name(name).encode()) <= 255
    assert file_name("漢" * 250 + ".txt").endswith("漢.txt")


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["", "?inline=1"], ids=["saved", "shown"])
def test_the_api_sends_it(api: APIClient, trail: str, query: str) -> None:
    run = create_run(NewRun(workflow=trail, payload={"input": "x"}))
    blob = store().write(b"x")
    made = Artifact.objects.create(
        id=uuid4(), run=run, name="é.txt", media_type="text/plain", size=1, sha256=blob.sha256
    )

    answer = api.get(f"/api/artifacts/{made.id}{query}")

    how = "inline" if query else "attachment"
    assert (
        answer["Content-Disposition"] == f"{how}; filename=\"e.txt\"; filename*=UTF-8''%C3%A9.txt"
    )
    b"".join(answer.streaming_content)  # type: ignore[attr-defined]
