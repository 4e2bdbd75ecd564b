"""Nobody makes the cluster of a real server run what is not declared: not over the admin, not with
a job, and not with rows put straight into django-q2's tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.client import Client
from tests.support.processes import Server, serving, wait_until

#: Between two looks of the sentinel for schedules that are due.
LOOK_SECONDS = 30.0

JOBS = """
import os, datetime
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.signing import SignedPackage
from django_q.tasks import async_chain, async_iter, async_task

class Acts:
    def __reduce__(self):
        return (os.system, ("touch {0}/pickle",))

past = timezone.now() - datetime.timedelta(minutes=1)
touch = "'touch {0}/%s'"
Schedule.objects.bulk_create([
    Schedule(func="os.system", args=touch % "schedule", next_run=past),
    Schedule(func="os.system", args=touch % "inline", kwargs="sync=True", next_run=past),
    Schedule(func="os.system", args="no python", next_run=past),
    Schedule(func="tests.acceptance.jobs.note", args="'{0}/scheduled'", next_run=past),
])
async_task("os.system", "touch {0}/job", sync=False)
async_task(os.system, "touch {0}/function")
async_task("tests.acceptance.jobs.note", "{0}/hooked", hook="os.system")
async_chain([("tests.acceptance.jobs.note", ("{0}/chained",)), ("os.system", ("touch {0}/x",))])
OrmQ.objects.create(key="fastgraph", lock=past, payload=SignedPackage.dumps(
    {{"id": "1", "name": "n", "func": "os.system", "args": (Acts(),), "kwargs": {{}}}}
))
async_task("tests.acceptance.jobs.note", "{0}/declared")
"""
LEFT = """
from django_q.models import OrmQ
print("left", OrmQ.objects.exclude(key__contains="wakeup").count())
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, env={"FASTGRAPH_JOBS": "tests.acceptance.jobs.note"}) as server:
        yield server


def shell(server: Server, code: str) -> str:
    done = server.manage("shell", "--verbosity", "0", "--command", code)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_only_declared_jobs_are_executed(server: Server, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    shell(server, JOBS.format(made))
    wait_until("the declared job is done", (made / "declared").exists)
    wait_until("the declared schedule is kept", (made / "scheduled").exists, LOOK_SECONDS + 30)
    wait_until("nothing is left in the queue", lambda: "left 0" in shell(server, LEFT))
    assert sorted(path.name for path in made.iterdir()) == ["declared", "scheduled"]
    log = server.log_path.read_text()
    for named in ("of 'os.system' is refused", "of 'posix.system' is refused", "Its hook"):
        assert named in log, named
    assert "is set aside" in log and "refused and deleted" in log
    with Client(server.url) as client:  # and all processes are well
        assert client.wait(client.create(payload={"input": "a b"})["id"])["status"] == "completed"


def test_admin_takes_no_schedule(server: Server, tmp_path: Path) -> None:
    with httpx.Client(base_url=server.url) as browser:
        assert browser.get("/admin/").status_code == 200
        for path in ("django_q/schedule", "django_q/ormq", "django_q/failure", "auth/user"):
            for page in ("", "add/"):
                assert browser.get(f"/admin/{path}/{page}").status_code == 404
