"""History by the million: one real run that has ended, copied within the database, with ids and
times of its own for every copy."""

from __future__ import annotations

from uuid import UUID

from django.db import connection, models, transaction

from artifacts.models import Artifact
from runs.models import Checkpoint, Event, Run, State, Thread

_KINDS: tuple[tuple[type[models.Model], str], ...] = (
    (Thread, "id"),
    (Run, "thread_id"),
    (Checkpoint, "thread_id"),
    (State, "thread_id"),
    (Event, "run_id"),
    (Artifact, "run_id"),
)
#: Milliseconds: the first copy is that old, and each one a millisecond younger than the last.
_FIRST = 1_700_000_000_000


def copy(run: Run, times: int) -> None:
    """`times` copies of all rows of `run` and its thread."""
    ids = _ids(run)
    numbers = (
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {times}) "
        if _lite()
        else ""
    )
    series = "n" if _lite() else f"generate_series(1, {times}) AS n(i)"
    if _lite():
        _pragmas("journal_mode=OFF", "synchronous=OFF", "cache_size=-1000000")
    with transaction.atomic(), connection.cursor() as cursor:
        if not _lite():
            # The copies refer to each other as their originals do: no need to look up each.
            cursor.execute("SET LOCAL session_replication_role = replica")
        for model, owner in _KINDS:
            fields = [f for f in model._meta.concrete_fields if not isinstance(f, models.AutoField)]
            table = model._meta.db_table
            key = run.thread_id if owner == "thread_id" or model is Thread else run.id
            cursor.execute(
                f"CREATE TEMPORARY TABLE original_{table} AS SELECT * FROM {table}"
                f" WHERE {owner} = %s",
                [key.hex if _lite() else key],
            )
            columns = ", ".join(f'"{field.column}"' for field in fields)
            values = ", ".join(_value(field, ids) for field in fields)
            cursor.execute(
                f"INSERT INTO {table} ({columns}) {numbers}"
                f"SELECT {values} FROM {series} CROSS JOIN original_{table} AS o"
            )
    if _lite():
        connection.close()  # which brings the usual pragmas back
        _pragmas("journal_mode=WAL")
    else:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # as autovacuum would have, meanwhile


def _pragmas(*pragmas: str) -> None:
    with connection.cursor() as cursor:
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")


def _lite() -> bool:
    return connection.vendor == "sqlite"


def _ids(run: Run) -> list[UUID]:
    """All ids of rows, by which they refer to each other."""
    found = [run.thread_id, run.id]
    found += Checkpoint.objects.filter(thread=run.thread_id).values_list("id", flat=True)
    found += Artifact.objects.filter(run=run).values_list("id", flat=True)
    return found


def _value(field: models.Field[object, object], ids: list[UUID]) -> str:
    column = f'o."{field.column}"'
    target = field.target_field if isinstance(field, models.ForeignKey) else field
    if isinstance(target, models.UUIDField):
        cases = (
            f"WHEN '{one.hex if _lite() else one}' THEN {_new_id(number)}"
            for number, one in enumerate(ids)
        )
        return f"CASE {column} {' '.join(cases)} ELSE {column} END"
    if isinstance(field, models.DateTimeField):
        return f"CASE WHEN {column} IS NULL THEN NULL ELSE {_moment()} END"
    return column


def _new_id(number: int) -> str:
    """Sorts by time, as real ones do."""
    if _lite():
        return f"printf('%012x7%03x8%015x', {_FIRST} + i, {number}, i)"
    time, last = f"lpad(to_hex({_FIRST} + i), 12, '0')", "lpad(to_hex(i), 15, '0')"
    return f"({time} || '7{number:03x}8' || {last})::uuid"


def _moment() -> str:
    if _lite():
        seconds = f"({_FIRST} + i) / 1000.0"
        return f"strftime('%Y-%m-%d %H:%M:%f', {seconds}, 'unixepoch') || '000'"
    return f"to_timestamp(({_FIRST} + i) / 1000.0)"
