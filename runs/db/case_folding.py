"""Search in any case, in any script, with the same answer on both databases.

SQLite's LIKE and `lower()` know the case of ASCII alone, and what Postgres' know depends on the
locale that it was set up with. `name__folded__contains=text` compares both sides as `fold` writes
them.
"""

from __future__ import annotations

import unicodedata
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models import CharField, Transform
from django.db.models.sql.compiler import SQLCompiler

from runs.db.dialect import dialect_or_none

_FUNCTION = "fastgraph_fold"
#: Of the International Components for Unicode: lower case as Unicode has it, whatever the locale.
_COLLATION = "und-x-icu"
#: What Unicode folds and does not lower: the last sigma, the iota below a vowel, old Cyrillic
#: letters. And, as in `fold`, the i without a dot.
_FOLDED = "\u03c2\u0345" + "".join(map(chr, range(0x1C80, 0x1C89)))
_DOTLESS, _DOTTED, _SHARP_S = "\u0131", "i\u0307", "\u00df"


def _quoted(text: str) -> str:
    """`text` as a literal of Postgres."""
    return "U&'" + "".join(f"\\{ord(char):04X}" for char in text) + "'"


#: `fold` in Postgres.
_POSTGRES = (
    "NORMALIZE(REPLACE(REPLACE(TRANSLATE(LOWER(NORMALIZE((%(expressions)s)::text, NFKD){collate}),"
    f" {_quoted(_FOLDED + _DOTLESS)}, {_quoted(_FOLDED.casefold() + 'i')}),"
    f" {_quoted(_DOTTED)}, 'i'), {_quoted(_SHARP_S)}, 'ss'), NFKC)"
)


def fold(text: str | None) -> str | None:
    """`text` as others of the same letters are, too: without upper case (`Straße` is `STRASSE`),
    and however its accents and widths are encoded (NFKC). Turkish need not be known: a
    dotted capital I, a dotless small one and i are one letter."""
    if text is None or text.isascii():
        return text and text.lower()
    folded = unicodedata.normalize("NFKD", text).casefold()
    folded = folded.replace(_DOTTED, "i").replace(_DOTLESS, "i")
    return unicodedata.normalize("NFKC", folded)


@CharField.register_lookup
class Folded(Transform):
    """`field__folded__contains=text`, and with any other comparison of texts."""

    lookup_name = "folded"
    bilateral = True
    output_field = CharField()

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> Any:
        return self.as_sql(compiler, connection, function=_FUNCTION, **context)

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> Any:
        collate = f' COLLATE "{_COLLATION}"' if _has_unicode(connection) else ""
        template = _POSTGRES.replace("{collate}", collate)
        return self.as_sql(compiler, connection, template=template, **context)


def connect() -> None:
    """Give every connection the function that its SQL lacks; called once a process."""
    connection_created.connect(_prepare, dispatch_uid="runs.db.case_folding")


def _prepare(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    if (known := dialect_or_none(connection)) is not None:
        known.add_function(connection, _FUNCTION, fold)


_known: dict[str, bool] = {}


def _has_unicode(connection: BaseDatabaseWrapper) -> bool:
    """Whether Postgres was built with ICU, as almost all are; asked once of each database."""
    if connection.alias not in _known:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_collation WHERE collname = %s", [_COLLATION])
            _known[connection.alias] = cursor.fetchone() is not None
    return _known[connection.alias]
