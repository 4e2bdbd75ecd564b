"""A server of its own for a measurement, on SQLite or Postgres."""

from __future__ import annotations

import os
import signal
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg

from tests.support import needs
from tests.support.databases import own_database
from tests.support.processes import Server, wait_until

DATABASES = ("sqlite", "postgres")


class Measured(Server):
    """A `manage.py serve` whose whole family may be killed, weighed and timed."""

    def kill_everything(self) -> None:
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        wait_until("all are gone", lambda: not self.processes())
        assert self._process is not None
        self._process.wait()

    def stored_bytes(self) -> int:
        """What the database holds, and the artifacts."""
        files = (self.data_dir / "artifacts").rglob("*")
        return self._database_bytes() + sum(p.stat().st_size for p in files if p.is_file())

    def _database_bytes(self) -> int:
        url = self.env["DATABASE_URL"]
        if url:
            with psycopg.connect(url) as connection:
                row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
                return int(row[0]) if row else 0
        with closing(sqlite3.connect(self.data_dir / "fastgraph.sqlite3")) as lite:
            (pages,) = lite.execute("PRAGMA page_count").fetchone()
            (size,) = lite.execute("PRAGMA page_size").fetchone()
            return int(pages) * int(size)

    def cpu_seconds(self) -> float:
        """What all processes have used so far."""
        ticks = 0
        for pid in self.processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self) -> int:
        """What all processes hold together; what they share counts once."""
        total = 0
        for pid in self.processes():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        return total


@contextmanager
def server(database: str, **env: str) -> Iterator[Measured]:
    """A migrated server, not started; all of it is gone afterwards."""
    url = needs.postgres_url("fastgraph_bench") if database == "postgres" else ""
    os.environ["DATABASE_URL"] = url
    with tempfile.TemporaryDirectory() as folder, own_database(migrated=False) as own:
        quiet = {"DATABASE_URL": own, "FASTGRAPH_LOG_LEVEL": "WARNING", "FASTGRAPH_APPS": "bench"}
        measured = Measured(Path(folder) / "data", {**quiet, **env})
        migrated = measured.manage("migrate", "--verbosity", "0")
        assert migrated.returncode == 0, migrated.stderr
        try:
            yield measured
        finally:
            measured.close()
