"""Whether other users of this machine can read what runs have stored, asked by `manage.py check`.

What the server makes is for its owner alone. What was there before, or was opened on purpose, is
left as it is: a warning names the command that closes it.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.checks import CheckMessage, Warning, register
from django.db import DEFAULT_DB_ALIAS, connections

from runs.conf import conf
from runs.db.sqlite3 import database_file


@register()
def stored_data_is_private(**kwargs: Any) -> list[CheckMessage]:
    """runs.W002: the data folder, or a database file outside it, is open to other users."""
    return [
        Warning(
            f"Other users of this machine can {_what(mode)} {path}, where runs are stored.",
            hint=f"Run: chmod go-rwx {shlex.quote(str(path))}",
            id="runs.W002",
        )
        for path in _doors()
        if (mode := _open_to_others(path))
    ]


def _doors() -> Iterator[Path]:
    """What others have to pass to read what is stored. Inside a folder that is closed to them, a
    file may have any permissions."""
    folder = conf().data_dir
    yield folder
    database = database_file.path_of(connections[DEFAULT_DB_ALIAS])
    files = [Path(database + suffix) for suffix in ("", "-wal", "-shm")] if database else []
    files.append(folder / "secret_key")
    for file in files:
        if file.parent != folder or _open_to_others(folder) & (stat.S_IXGRP | stat.S_IXOTH):
            yield file


def _open_to_others(path: Path) -> int:
    """What the permissions of `path` allow to others than its owner."""
    try:
        return stat.S_IMODE(os.stat(path).st_mode) & 0o077
    except OSError:
        return 0


def _what(mode: int) -> str:
    return "change" if mode & (stat.S_IWGRP | stat.S_IWOTH) else "read"
