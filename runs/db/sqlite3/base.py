"""The wrapper of one connection, where Django looks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.db.backends.sqlite3 import base

from runs.db.sqlite3 import database_file
from runs.db.sqlite3.database_file import Files


class DatabaseWrapper(base.DatabaseWrapper):
    """Makes the file private, opens no other than the one that is expected, and asks whether it is
    still there and whole: before each statement outside a transaction, and before and after each
    commit. So nothing is answered as stored that went into a deleted file."""

    #: What this connection has opened; None before, and for a database in memory.
    files: Files | None = None

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        self.files = None
        path = database_file.path_of(self)
        if not path:
            return super().get_new_connection(conn_params)
        database_file.prepare(path)
        # rw: SQLite must not make one, with everybody's permissions, if it is deleted right now.
        address = f"{Path(path).absolute().as_uri()}?mode=rw"
        raw = super().get_new_connection({**conn_params, "database": address})
        try:
            self.files = database_file.opened(self, path)
        except BaseException:
            raw.close()
            raise
        return raw

    def create_cursor(self, name: str | None = None) -> Any:
        if not self.in_atomic_block:
            database_file.check(self)
        return super().create_cursor(name)

    def _commit(self) -> Any:
        database_file.check_before_commit(self)
        super()._commit()  # type: ignore[misc]  # the stubs do not know it
        database_file.check_after_commit(self)
