"""What an artifact may be called, and what kind of file its name says it is."""

from __future__ import annotations

import mimetypes
import re
import unicodedata

MAX_LENGTH = 255

# Bidirectional overrides let "report<U+202E>fdp.exe" show as "reportexe.pdf".
_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})

_WORD = r"[A-Za-z0-9!#$&^_.+-]+"
_MEDIA_TYPE = re.compile(rf'{_WORD}/{_WORD}(?: *; *{_WORD}=(?:{_WORD}|"[ -!#-\[\]-~]*"))*')
_COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2"}

# The interpreter's own table only: one that also reads the machine's files answers differently
# from host to host.
_types = mimetypes.MimeTypes()
for _type, _suffix in (
    ("text/markdown", ".md"),
    ("application/x-ndjson", ".jsonl"),
    ("application/yaml", ".yaml"),
    ("application/yaml", ".yml"),
    ("application/vnd.apache.parquet", ".parquet"),
    ("image/webp", ".webp"),
):
    _types.add_type(_type, _suffix)


def check_name(name: str) -> str:
    """`name` itself when it can name an artifact; ValueError that says what is wrong otherwise.
    The name never becomes a path here, but it becomes one on the disk of whoever downloads it."""
    if not name.strip() or name in (".", ".."):
        raise ValueError(f"{name!r} cannot name an artifact; use something like 'report.md'.")
    if len(name) > MAX_LENGTH:
        raise ValueError(
            f"An artifact's name has at most {MAX_LENGTH} characters; this one has {len(name)}."
        )
    for char in name:
        if char in "/\\":
            raise ValueError(f"An artifact's name is not a path: {name!r} contains {char!r}.")
        if char in _OVERRIDES or unicodedata.category(char) in _REFUSED_CATEGORIES:
            raise ValueError(
                f"An artifact's name has no control characters: {name!r} has U+{ord(char):04X}."
            )
    return name


def media_type(name: str, given: str | None = None) -> str:
    """`given`, or what the ending of `name` stands for: `application/octet-stream` when it stands
    for nothing. A compressed file is what it is compressed with: `a.csv.gz` is gzip. ValueError
    when `given` is not a media type."""
    if given is not None:
        if len(given) > MAX_LENGTH or not _MEDIA_TYPE.fullmatch(given):
            raise ValueError(f"{given!r} is not a media type; one looks like 'text/csv'.")
        return given
    kind, encoding = _types.guess_type(name, strict=False)
    if encoding is not None:
        return _COMPRESSED.get(encoding, "application/octet-stream")
    return kind or "application/octet-stream"
