"""Reading CSV as people send it: any usual delimiter, ragged rows, repeated headers, odd encodings.

What can be mended is mended and noted; what cannot raises TableError.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass, field

MAX_COLUMNS = 500
MAX_FIELD = 2**20

_DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_ROWS = 100


class TableError(ValueError):
    """The text is not a table; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A header and its values, one per row, "" where there is none."""

    name: str
    values: list[str]


@dataclass(frozen=True, kw_only=True)
class Table:
    """`notes` are sentences about what was mended. `decimal` is the mark in numbers: a comma in
    files that use the semicolon to part fields, a point otherwise."""

    columns: list[Column]
    rows: int
    delimiter: str
    notes: list[str] = field(default_factory=list)

    @property
    def decimal(self) -> str:
        return "," if self.delimiter == ";" else "."


def decode(data: bytes) -> str:
    """The text of a file: UTF-8 or UTF-16 by its byte order mark, UTF-8 without one, and what is
    neither as Windows-1252, which every byte string is."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def read(text: str) -> Table:
    """The table in `text`. Its first row is the header. TableError when there is nothing in it,
    a field is longer than 1 MiB, or there are more than 500 columns."""
    notes: list[str] = []
    if text.startswith("\ufeff"):
        text = text.removeprefix("\ufeff")
        notes.append("The file began with a byte order mark; it was left out.")
    if "\0" in text:
        raise TableError("This is not text: it contains NUL bytes. Save it as CSV first.")
    if not text.strip():
        raise TableError("The CSV is empty: it needs a header row.")
    delimiter = sniff(text)
    rows = _rows(text, delimiter, notes)
    if not rows:
        raise TableError("The CSV is empty: it needs a header row.")
    names = _header(rows[0], notes)
    body = _rectangle(rows[1:], len(names), notes)
    columns = [
        Column(name=name, values=[row[index].strip() for row in body])
        for index, name in enumerate(names)
    ]
    if not body:
        notes.append("There are no rows below the header.")
    return Table(columns=columns, rows=len(body), delimiter=delimiter, notes=notes)


def sniff(text: str) -> str:
    """The delimiter that gives the first rows the most even shape; a comma when none gives two
    columns."""
    best, best_score = ",", 0.0
    for delimiter in _DELIMITERS:
        widths = Counter(_sample_widths(text, delimiter))
        if not widths:
            continue
        width, often = max(widths.items(), key=lambda item: (item[1], item[0]))
        # Evenness first; among even ones more columns, but "1,5;2,5" must not win by its commas.
        score = 0.0 if width < 2 else often / sum(widths.values()) + min(width, 50) / 1000
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _sample_widths(text: str, delimiter: str) -> list[int]:
    widths: list[int] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if row:
                widths.append(len(row))
            if len(widths) == _SAMPLE_ROWS:
                break
    except csv.Error:
        pass
    return widths


def _rows(text: str, delimiter: str, notes: list[str]) -> list[list[str]]:
    """All rows that are not blank."""
    csv.field_size_limit(MAX_FIELD)  # of the whole process; nothing else here reads CSV
    for strict in (True, False):
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict)
        try:
            return [row for row in reader if any(field.strip() for field in row)]
        except csv.Error as error:
            if "field limit" in str(error):
                raise TableError(
                    f"A field that begins before line {reader.line_num} is longer than 1 MiB: is "
                    "a quotation mark missing?"
                ) from None
            if not strict:
                raise TableError(f"Line {reader.line_num} cannot be read: {error}.") from None
            notes.append(
                f"Quotation marks near line {reader.line_num} do not match; "
                "they were read as far as they make sense."
            )
    raise AssertionError("unreachable")


def _header(row: list[str], notes: list[str]) -> list[str]:
    """One name per column, all different."""
    if len(row) > MAX_COLUMNS:
        raise TableError(f"The CSV has {len(row)} columns; at most {MAX_COLUMNS} can be profiled.")
    names: list[str] = []
    taken: set[str] = set()
    copies: dict[str, int] = {}
    unnamed = repeated = 0
    for position, cell in enumerate(row, start=1):
        name = " ".join(cell.split())
        if not name:
            name, unnamed = f"column {position}", unnamed + 1
        wanted, copy = name, copies.get(name, 1)
        repeated += name in taken
        while name in taken:
            copy += 1
            name = f"{wanted} ({copy})"
        copies[wanted] = copy
        taken.add(name)
        names.append(name)
    if unnamed:
        notes.append(f"{_many(unnamed, 'column has', 'columns have')} no name; numbered instead.")
    if repeated:
        notes.append(f"{_many(repeated, 'column repeats', 'columns repeat')} the name of another.")
    if all(_looks_like_a_number(name) for name in names):
        notes.append("The first row was taken as the header, but it looks like data.")
    return names


def _rectangle(rows: list[list[str]], width: int, notes: list[str]) -> list[list[str]]:
    short = sum(1 for row in rows if len(row) < width)
    long = sum(1 for row in rows if len(row) > width)
    if short:
        notes.append(f"{_many(short, 'row is', 'rows are')} short; the rest counts as missing.")
    if long:
        notes.append(
            f"{_many(long, 'row has', 'rows have')} more fields than the header; "
            "the surplus was left out."
        )
    return [(row + [""] * (width - len(row)))[:width] for row in rows]


def _looks_like_a_number(text: str) -> bool:
    return text.replace(".", "", 1).removeprefix("-").isdecimal()


def _many(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"
