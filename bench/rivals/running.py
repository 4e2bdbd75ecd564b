"""One rival's process on a database of its own."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg

from bench.rivals import environments
from fastgraph_site.environment import BASE_DIR
from tests.support import needs
from tests.support.databases import own_database
from tests.support.processes import free_port

_START_SECONDS = 30.0


class DidNotStart(Exception):
    """The message is the end of what the process wrote."""


@dataclass(frozen=True, kw_only=True)
class Running:
    port: int
    database: str

    def stored_bytes(self) -> int:
        """What the database holds."""
        if self.database.startswith("sqlite"):
            with closing(sqlite3.connect(self.database.removeprefix("sqlite:///"))) as lite:
                (pages,) = lite.execute("PRAGMA page_count").fetchone()
                (size,) = lite.execute("PRAGMA page_size").fetchone()
                return int(pages) * int(size)
        with psycopg.connect(self.database) as connection:
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
            return int(row[0]) if row else 0


@contextmanager
def running(name: str, environment: str, database: str) -> Iterator[Running]:
    """`bench/rivals/<name>_app.py` in its environment; all of it is gone afterwards. `database` is
    sqlite, postgres, or memory for none."""
    python = environments.python(environment)
    on_postgres = database == "postgres"
    os.environ["DATABASE_URL"] = needs.postgres_url("fastgraph_bench") if on_postgres else ""
    with tempfile.TemporaryDirectory() as folder, own_database(migrated=False) as own:
        url = own.replace("postgres://", "postgresql://")
        if database == "sqlite":
            url = f"sqlite:///{folder}/rival.sqlite3"
        port = free_port()
        log = Path(folder) / "log"
        process = subprocess.Popen(
            [str(python), "-m", f"bench.rivals.{name}_app", str(port), *filter(None, [url])],
            cwd=BASE_DIR,
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait(process, port, log)
            yield Running(port=port, database=url)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.post(f"http://127.0.0.1:{port}/ready", timeout=5)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise DidNotStart(" ".join(log.read_text(errors="replace").split())[-300:])
