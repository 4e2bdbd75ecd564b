"""`manage.py chaos` on a real deployment: what it counts, that it counts right, and where it does
not blow at all."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fastgraph_site.environment import BASE_DIR
from tests.support.client import Client
from tests.support.databases import own_database
from tests.support.processes import Server
from tests.support.promises import promise

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="a frozen process is told from a dead one in /proc"
)

CALM = ("lost", "steps committed twice", "logs with holes", "other than without chaos")


def chaos(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "chaos", "--url", server.url, *arguments]
    return subprocess.run(command, cwd=BASE_DIR, env=server.env, capture_output=True, text=True)


def counted(done: subprocess.CompletedProcess[str], what: str) -> int:
    """The number that the account gives for `what`."""
    found = re.search(rf"^{what} +(\d+)", done.stdout, re.MULTILINE)
    assert found, done.stdout + done.stderr
    return int(found[1])


def disconnect(url: str) -> list[str]:
    """The command that ends every connection to the database, as a restart of it would."""
    query = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    script = f"import psycopg; psycopg.connect({url!r}, autocommit=True).execute({query!r})"
    return ["--database-restart", f'{sys.executable} -c "{script}"']


@pytest.mark.parametrize(
    "minutes", ["0.25", pytest.param("10", marks=[pytest.mark.soak, pytest.mark.timeout(1200)])]
)
def test_a_storm(pair: Server, minutes: str) -> None:
    url = pair.env["DATABASE_URL"]
    restart = disconnect(url) if url else []
    arguments = ("--minutes", minutes, "--every", "1.5", "--rate", "8", "--seed", "7", *restart)
    done = chaos(pair, *arguments)
    created, finished = counted(done, "created"), counted(done, "finished")
    with promise("nothing is lost, doubled or torn in a storm"):
        assert created == finished
        assert {what: counted(done, what) for what in CALM} == dict.fromkeys(CALM, 0)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout
    assert created > 0
    assert re.search("(kill|freeze): worker", done.stdout), "it did not blow"


def test_it_stays_away_from_what_is_not_its_own(own_server: Server) -> None:
    done = chaos(own_server, "--url", "http://192.0.2.1:8000")
    assert done.returncode != 0 and "--remote" in done.stderr
    done = chaos(own_server, "--every", "0")
    assert done.returncode != 0 and "--every must be a number above 0" in done.stderr
    with Client(own_server.url) as client:
        run = client.create("steps", {"steps": 1, "seconds": 3600})
        done = chaos(own_server)
        assert done.returncode != 0 and "1 runs are not finished" in done.stderr
        client.http.post(f"/api/runs/{run['id']}/cancel")
        assert client.wait(run["id"])["status"] == "cancelled"


def test_another_database_is_noticed(own_server: Server, tmp_path: Path) -> None:
    with own_database() as url:
        other = Server(tmp_path / "other", {"DATABASE_URL": url})
        other.provide_tables()
        done = chaos(other, "--url", own_server.url)
    assert done.returncode != 0 and "another database" in done.stderr
