"""What an artifact may be called, and what kind of file its name says it is."""

from __future__ import annotations

import io
import mimetypes
from array import array
from typing import Any

import pytest

from runs.engine.names import check_name, content, media_type


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
        ("漢" * 84 + ".txt", "at most 255 bytes in UTF-8.* has 256"),
        ("é" * 126 + ".txt", "at most 255 bytes"),
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


@pytest.mark.parametrize("name", [None, 5, b"a.txt", ["a.txt"]], ids=lambda n: type(n).__name__)
def test_a_name_is_a_text(name: Any) -> None:
    with pytest.raises(TypeError, match=r"An artifact's name is a text like 'report.md', not "):
        check_name(name)


def test_a_media_type_is_a_text() -> None:
    given: Any = b"text/plain"
    with pytest.raises(TypeError, match="A media type is a text like 'text/csv', not bytes"):
        media_type("x.md", given)


class Bytes(bytes):
    """Of somebody's library."""


class Text(str):
    """Of somebody's library."""


@pytest.mark.parametrize(
    ("data", "stored"),
    [
        (b"", b""),
        (b"\0\xff", b"\0\xff"),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abcd")[::2], b"ac"),
        (memoryview(b"abcd").cast("c"), b"abcd"),
        (memoryview(b"abcd").cast("B", (2, 2)), b"abcd"),
        (Bytes(b"a"), b"a"),
        (Text("é"), b"\xc3\xa9"),
        ("", b""),
    ],
    ids=[
        "empty", "bytes", "bytearray", "strided", "characters", "square", "subclass", "text", "none"
    ],
)  # fmt: skip
def test_bytes_and_text_are_content(data: Any, stored: bytes) -> None:
    got = content(data)
    assert got == stored
    assert type(got) is bytes


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        (5, "not int. Give str"),
        (True, "not bool"),
        (1.5, "not float"),
        (None, "not NoneType. Give b''"),
        ([65, 66], "not list. Give json.dumps"),
        ({"a": 1}, "not dict. Give json.dumps"),
        ((part for part in [b"a"]), r"not generator. Give b''.join\(parts\)"),
        (range(3), "not range"),
        (io.BytesIO(b"a"), r"not BytesIO. Give what its read\(\)"),
        (io.StringIO("a"), r"not StringIO. Give what its read\(\)"),
        (array("i", [1]), r"not array. Give its tobytes\(\)"),
        (memoryview(array("i", [1])), r"not a memoryview of items of the format 'i'"),
    ],
    ids=[
        "int", "bool", "float", "None", "list", "dict", "generator", "range", "file", "text-file",
        "array", "ints",
    ],
)  # fmt: skip
def test_what_is_no_content_is_refused_with_advice(data: Any, advice: str) -> None:
    with pytest.raises(TypeError, match=f"An artifact's content is bytes or text, {advice}"):
        content(data)


def test_half_a_surrogate_pair_is_no_text() -> None:
    with pytest.raises(ValueError, match=r"half of a surrogate pair .* at character 1"):
        content("a\ud800")
