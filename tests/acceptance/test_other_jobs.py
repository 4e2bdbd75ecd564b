"""django-q2's other work is done while every worker that executes runs is busy, however long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.processes import Server, serving, wait_until

#: Some minutes of work for one worker: more than the deadline of any job here.
SUPPLY = [{"workflow": "steps", "payload": {"steps": 20, "seconds": 0.05}}] * 300

#: Between two looks of the sentinel for schedules that are due.
LOOK_SECONDS = 30.0

#: Its next crash would be the run's last.
SUSPECT = "from runs.models import Run; Run.objects.filter(id='{}').update(crashes=2)"
JOB = "from django_q.tasks import async_task; async_task('tests.acceptance.jobs.note', '{}')"
SCHEDULE = (
    "from django_q.tasks import schedule;"
    "schedule('tests.acceptance.jobs.note', '{}', schedule_type='O')"
)


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[Server]:
    """A server whose two workers execute one run at a time."""
    env = {
        "FASTGRAPH_APPS": "tests.acceptance.deadly",
        "FASTGRAPH_JOBS": "tests.acceptance.jobs.note",
        "FASTGRAPH_WORKERS": "2",
        "FASTGRAPH_CONCURRENCY": "1",
    }
    with serving(tmp_path, env=env) as server:
        yield server


def shell(server: Server, code: str) -> None:
    """Run `code` in a process of its own that has the database of `server`."""
    done = server.manage("shell", "--verbosity", "0", "--command", code)
    assert done.returncode == 0, done.stderr


def test_they_are_not_starved(narrow: Server, tmp_path: Path) -> None:
    """One worker has a run that does not end, another runs without end, the third a suspect."""
    with Client(narrow.url) as client:
        patient = {"path": str(tmp_path / "never")}
        long = client.create("patient", patient)["id"]
        wait_until("the long run is executed", lambda: running(client, long))
        answer = client.http.post("/api/runs/batch", json=SUPPLY, timeout=60)
        assert answer.status_code == 201, answer.text
        last = answer.json()["results"][-1]["id"]
        suspect = client.create("patient", patient)["id"]
        shell(narrow, SUSPECT.format(suspect))
        wait_until("the suspect is executed apart", lambda: running(client, suspect))
        wait_until("three workers are busy", lambda: busy(client) == 3)

        queued, scheduled = tmp_path / "queued", tmp_path / "scheduled"
        shell(narrow, SCHEDULE.format(scheduled))
        shell(narrow, JOB.format(queued))
        wait_until("the job is done", queued.exists)
        wait_until("the schedule is kept", scheduled.exists, LOOK_SECONDS + 30)
        assert running(client, long) and running(client, suspect)
        assert client.run(last)["status"] == "pending"


def running(client: Client, run_id: str) -> bool:
    return bool(client.run(run_id)["status"] == "running")


def busy(client: Client) -> int:
    """How many workers execute runs."""
    return len([w for w in client.get("/api/workers/")["results"] if w["in_flight"]])
