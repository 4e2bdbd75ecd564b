"""What an artifact may be called, and what kind of file its name says it is."""

from __future__ import annotations

import mimetypes

import pytest

from runs.engine.names import check_name, media_type


@pytest.mark.parametrize(
    "name", ["report.md", "a b.csv", "..hidden", "日本語.txt", "👩‍💻.png", "x" * 255, "a:b?.txt"]
)
def test_a_name_is_left_as_it_is(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "cannot name"),
        ("   ", "cannot name"),
        (".", "cannot name"),
        ("..", "cannot name"),
        ("../etc/passwd", "not a path"),
        ("a\\b", "not a path"),
        ("a\0b", "U\\+0000"),
        ("a\nb", "U\\+000A"),
        ("a\x7fb", "U\\+007F"),
        ("a\u2028b", "U\\+2028"),
        ("a\ud800b", "U\\+D800"),
        ("report\u202efdp.exe", "U\\+202E"),
        ("x" * 256, "at most 255 characters; this one has 256"),
    ],
)
def test_a_bad_name_is_refused_and_told_why(name: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_name(name)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("report.md", "text/markdown"),
        ("RESULT.JSON", "application/json"),
        ("chart.svg", "image/svg+xml"),
        ("table.csv", "text/csv"),
        ("table.csv.gz", "application/gzip"),
        ("lines.jsonl", "application/x-ndjson"),
        ("README", "application/octet-stream"),
        ("what.is-this", "application/octet-stream"),
    ],
)
def test_the_media_type_is_guessed_the_same_on_every_machine(
    name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mimetypes, "types_map", {".md": "application/x-genesis-rom"})
    assert media_type(name) == kind


@pytest.mark.parametrize("given", ["text/plain", "text/plain; charset=utf-8", 'a/b;c="d e"'])
def test_a_media_type_that_is_given_is_taken(given: str) -> None:
    assert media_type("x.md", given) == given


@pytest.mark.parametrize(
    "given", ["", "text", "text/", "text/html\r\nSet-Cookie: a=b", "a/b\0", "a/" + "b" * 300]
)
def test_a_media_type_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="media type"):
        media_type("x.md", given)
