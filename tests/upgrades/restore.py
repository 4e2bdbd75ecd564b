"""Puts a dump into an empty database, as its version left it, and upgrades that."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DUMPS = Path(__file__).with_name("dumps")


def read(dump: str) -> Iterator[list[Any]]:
    """The lines of a dump: `migration`, `row` or `file`, and what it is of."""
    with (DUMPS / f"{dump}.jsonl").open() as lines:
        yield from map(json.loads, lines)


def state(dump: str) -> list[tuple[str, str]]:
    """The newest migration of each app of ours that the dump's version had."""
    newest = {line[1]: line[2] for line in read(dump) if line[0] == "migration"}
    return list(newest.items())


def restore(dump: str, *stop_at: str) -> None:
    """Fill the database and the data folder of this process's settings. `stop_at`: migrations
    of `runs` at which the upgrade is interrupted, as by a server that is stopped."""
    from django.core.management import call_command
    from django.db import connection, transaction

    from runs.conf import conf

    for app, newest in state(dump):
        call_command("migrate", app, newest, verbosity=0)
    # In one transaction: references are checked at its end, so that any order will do.
    with transaction.atomic(), connection.cursor() as cursor:
        for kind, name, *said in read(dump):
            if kind == "row":
                _insert(cursor, name, said[0])
            elif kind == "file":
                path = conf().data_dir / "artifacts" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(base64.b64decode(said[0]))
    for name in stop_at:
        call_command("migrate", "runs", name, verbosity=0)
    call_command("migrate", verbosity=0)


def _insert(cursor: Any, table: str, row: dict[str, Any]) -> None:
    columns = ", ".join(f'"{name}"' for name in row)
    values = ", ".join(["%s"] * len(row))
    cursor.execute(f"INSERT INTO {table} ({columns}) VALUES ({values})", list(row.values()))


if __name__ == "__main__":
    import sys

    import django

    django.setup()
    restore(*sys.argv[1:])
