"""The cluster executes declared jobs, and imports and unpickles nothing else."""

from __future__ import annotations

import os
import pickle
from base64 import b64encode
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from django_q.models import Failure, OrmQ, Schedule, Success, Task
from django_q.monitor import monitor
from django_q.signals import pre_enqueue
from django_q.signing import SignedPackage
from django_q.tasks import async_chain, async_iter, async_task
from django_q.worker import worker
from pytest_django import Settings

from runs import checks
from runs.cluster import jobs
from runs.cluster.broker import NotifiedBroker
from runs.cluster.job_queue import DeclaredJobs, queue_inline_job
from runs.cluster.queues import RecordQueue
from runs.cluster.schedules import queue_due_schedules
from runs.cluster.timers import Timer
from runs.models import Thread
from tests.acceptance import jobs as declared_jobs

pytestmark = pytest.mark.django_db(transaction=True)

NOTE = "tests.acceptance.jobs.note"


class Acts:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.system, (f"touch {self.path}",))


@pytest.fixture(autouse=True)
def note_is_declared(settings: Settings) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "jobs": [f" {NOTE}"]}


@pytest.fixture
def broker() -> Iterator[NotifiedBroker]:
    broker = NotifiedBroker()
    yield broker
    if broker._changes is not None:
        broker._changes.close()


@pytest.fixture
def execute(tmp_path: Path, broker: NotifiedBroker) -> Any:
    """Do what the cluster's processes do with all that is queued, one after another."""

    def run() -> None:
        waiting, results = RecordQueue(tmp_path), RecordQueue(tmp_path)
        broker._sweep_at = float("inf")
        while OrmQ.objects.filter(lock__lt=timezone.now()).exists():
            broker._look_at = 0.0
            for ack_id, package in broker.dequeue() or ():
                waiting.put({**SignedPackage.loads(package), "ack_id": ack_id})
        waiting.put("STOP")
        worker(DeclaredJobs(waiting, results), results, Timer(), None)
        results.put("STOP")
        monitor(results, broker)

    return run


def failures() -> list[str]:
    return sorted(Failure.objects.values_list("func", flat=True))


def test_declared_job_is_executed_by_name_and_by_function(execute: Any, tmp_path: Path) -> None:
    async_task(NOTE, str(tmp_path / "a"))
    async_task(declared_jobs.note, str(tmp_path / "b"), timeout=None)
    execute()
    assert (tmp_path / "a").exists() and (tmp_path / "b").exists()
    assert (OrmQ.objects.count(), Success.objects.count()) == (0, 2)


def test_job_that_leaves_a_transaction_open_fails_and_the_next_one_commits(
    execute: Any, tmp_path: Path, settings: Settings
) -> None:
    leave = "tests.acceptance.jobs.leave_transaction_open"
    settings.FASTGRAPH = {**settings.FASTGRAPH, "jobs": [NOTE, leave]}
    async_task(leave)
    async_task(NOTE, str(tmp_path / "a"))
    execute()
    (failure,) = Failure.objects.all()
    assert f"Job {leave!r} left a transaction open" in failure.result
    assert (Thread.objects.count(), Success.objects.count()) == (0, 1)


@pytest.mark.parametrize(
    "function",
    ["os.system", os.system, "subprocess.getoutput", "builtins.exec", "tests", "x y"],
)
def test_undeclared_job_is_refused_named_and_acknowledged(
    execute: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, function: Any
) -> None:
    async_task(function, f"touch {tmp_path / 'ran'}")
    async_task(NOTE, str(tmp_path / "after"))
    execute()
    assert not (tmp_path / "ran").exists()
    assert (tmp_path / "after").exists()
    assert OrmQ.objects.count() == 0
    named = function if isinstance(function, str) else "posix.system"
    said = [r.getMessage() for r in caplog.records if "is refused" in r.getMessage()]
    assert len(said) == 1 and repr(named) in said[0] and "FASTGRAPH_JOBS" in said[0]
    assert failures() == [named]


def test_module_of_an_undeclared_path_is_never_imported(
    execute: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "imports_act.py"
    module.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef job(*a): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    async_task("imports_act.job")
    async_task(NOTE, str(tmp_path / "a"), hook="imports_act.job")
    async_chain([(NOTE, (str(tmp_path / "b"),)), ("imports_act.job", ())])
    async_iter("imports_act.job", [1, 2])
    Task.objects.create(
        id="x", name="x", func=NOTE, hook="imports_act.job", started=timezone.now(),
        stopped=timezone.now(), success=True,
    )  # fmt: skip
    execute()
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".py"] == []
    assert OrmQ.objects.count() == 0


def test_worker_that_is_not_of_our_cluster_refuses_too(tmp_path: Path) -> None:
    with pytest.raises(jobs.RefusedError, match=r"os\.system"):
        async_task("os.system", f"touch {tmp_path / 'ran'}", sync=True)
    async_task(NOTE, str(tmp_path / "a"), sync=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_declared_hook_and_chain_are_executed(
    execute: Any, tmp_path: Path, settings: Settings
) -> None:
    hook = "tests.integration.test_jobs.hook"
    settings.FASTGRAPH = {**settings.FASTGRAPH, "jobs": [NOTE, hook]}
    async_chain([(NOTE, (str(tmp_path / "a"),)), (NOTE, (str(tmp_path / "b"),))])
    async_task(NOTE, str(tmp_path / "c"), hook=hook)
    execute()
    execute()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c", "c.hook"]


def hook(task: Task) -> None:
    Path(f"{task.args[0]}.hook").touch()


@pytest.mark.parametrize("field", ["args", "kwargs", "func", "hook", "name", "whole"])
def test_package_that_acts_when_it_is_unpickled_is_deleted(
    execute: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, field: str
) -> None:
    acts = Acts(tmp_path / "ran")
    job: Any = {"id": "1", "name": "n", "func": NOTE, "args": (), "kwargs": {}}
    job |= {field: (acts,) if field == "args" else {"a": acts} if field == "kwargs" else acts}
    OrmQ.objects.create(
        key="fastgraph",
        payload=SignedPackage.dumps(acts if field == "whole" else job),
        lock=timezone.now() - timedelta(seconds=1),
    )
    execute()
    assert not (tmp_path / "ran").exists()
    assert OrmQ.objects.count() == 0
    assert any("refused and deleted" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    "job",
    [
        None,
        [],
        {},
        {"id": "1"},
        {"name": 1},
        {"func": ""},
        {"timeout": "soon"},
        {"chain": "os.system"},
    ],
)
def test_malformed_package_is_deleted(execute: Any, job: Any) -> None:
    whole = {"id": "1", "name": "n", "func": NOTE, "args": (), "kwargs": {}}
    if isinstance(job, dict) and job and "id" not in job:
        job = whole | job
    for payload in (SignedPackage.dumps(job), "no package", SignedPackage.dumps(whole) + "x"):
        OrmQ.objects.create(
            key="fastgraph", payload=payload, lock=timezone.now() - timedelta(seconds=1)
        )
    execute()
    assert OrmQ.objects.count() == 0


def test_arguments_of_plain_data_come_back_as_they_were() -> None:
    zone = ZoneInfo("Europe/Oslo")
    values = [
        None, True, 1, 2.5, 1j, "å", b"x", bytearray(b"y"), [1], (2,), {"a": {3}}, frozenset({4}),
        Decimal("1.5"), uuid4(), date(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC),
        datetime(2026, 1, 2, tzinfo=zone), timedelta(seconds=1), range(3), OrderedDict(a=1),
        defaultdict(list, a=[1]), Path("/a/b"),
    ]  # fmt: skip
    for protocol in range(4, pickle.HIGHEST_PROTOCOL + 1):
        assert jobs.loads(pickle.dumps(values, protocol)) == values


@pytest.mark.parametrize("argument", [os.system, User, [os.system], {"a": (os.system,)}])
def test_function_as_an_argument_is_refused_with_what_to_do(argument: Any) -> None:
    async_task(NOTE, argument)
    with pytest.raises(jobs.RefusedError, match="plain data"):
        jobs.unpacked(OrmQ.objects.get().payload)


def test_row_of_results_is_read_without_acting(tmp_path: Path) -> None:
    Task.objects.create(
        id="x", name="x", func=NOTE, args=(1, "a"), kwargs={}, result={"n": 1},
        started=timezone.now(), stopped=timezone.now(), success=True,
    )  # fmt: skip
    assert (Task.objects.get().args, Task.objects.get().result) == ((1, "a"), {"n": 1})
    planted = b64encode(pickle.dumps(Acts(tmp_path / "ran"))).decode()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_q_task SET args = %s, result = %s", [planted, planted])
    assert Success.objects.get().result == planted
    assert not (tmp_path / "ran").exists()


# --- schedules --------------------------------------------------------------------------------


def due(**fields: Any) -> Schedule:
    past = timezone.now() - timedelta(minutes=1)
    # Straight into the table: `save` would refuse some of them.
    (row,) = Schedule.objects.bulk_create([Schedule(**{"func": NOTE, "next_run": past, **fields})])
    return row


@pytest.mark.parametrize("kind", [{"schedule_type": "O"}, {"schedule_type": "I", "minutes": 5}])
@pytest.mark.parametrize("kwargs", ["", "sync=True", "{'q_options': {'sync': True}}"])
def test_schedule_of_an_undeclared_function_is_refused_where_it_would_run(
    execute: Any, broker: NotifiedBroker, tmp_path: Path, kwargs: str, kind: dict[str, Any]
) -> None:
    due(func="os.system", args=f"'touch {tmp_path / 'ran'}'", kwargs=kwargs, **kind)
    pre_enqueue.connect(queue_inline_job)
    try:
        queue_due_schedules(broker)
    finally:
        pre_enqueue.disconnect(queue_inline_job)
    execute()
    assert not (tmp_path / "ran").exists()
    assert failures() == ["os.system"]
    assert not Schedule.objects.filter(next_run__lt=timezone.now()).exclude(repeats=0).exists()


@pytest.mark.parametrize(
    "fault",
    [
        {"kwargs": "5"},
        {"kwargs": "{'q_options': 5}"},
        {"kwargs": "q_options=5"},
        {"kwargs": "{[]: 1}"},
        {"kwargs": "broker='x'"},
        {"kwargs": "**{'a': 1}"},
        {"kwargs": "**{'q_options': {'sync': True}}"},
        {"kwargs": "{1: 2}"},
        {"kwargs": "{'func': 'x'}"},
        {"kwargs": "func='x'"},
        {"intended_date_kwarg": "func"},
        {"args": "(" * 500 + ")" * 500},
        {"args": "not python"},
        {"schedule_type": "I", "minutes": 1, "next_run": datetime(1, 1, 1, tzinfo=UTC)},
        {"schedule_type": "C", "cron": "no cron"},
        {"schedule_type": "?"},
    ],
    ids=repr,
)
def test_faulty_schedule_is_set_aside_and_holds_up_no_other(
    execute: Any,
    broker: NotifiedBroker,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    fault: dict[str, Any],
) -> None:
    due(name="faulty", **fault)
    due(name="sound", args=f"'{tmp_path / 'ran'}'")
    queue_due_schedules(broker)
    execute()
    assert (tmp_path / "ran").exists()
    assert Schedule.objects.get(name="faulty").repeats == 0
    assert any("'faulty'" in record.getMessage() for record in caplog.records)


def test_schedules_of_a_database_that_is_away_stay_due_and_are_not_set_aside(
    broker: NotifiedBroker,
) -> None:
    row = due(name="sound", schedule_type="I", minutes=5)
    with (
        mock.patch.object(NotifiedBroker, "enqueue", side_effect=OperationalError("locked")),
        pytest.raises(OperationalError),
    ):
        queue_due_schedules(broker)
    before = Schedule.objects.get()
    assert (before.repeats, before.next_run) == (-1, row.next_run)
    queue_due_schedules(broker)
    after = Schedule.objects.get()
    assert after.next_run > timezone.now()
    assert after.task and OrmQ.objects.count() == 1


def test_a_schedule_that_always_meets_an_error_of_the_database_holds_up_no_other(
    broker: NotifiedBroker,
) -> None:
    now = timezone.now()
    for name in ("first", "second"):
        due(name=name, schedule_type="I", minutes=5, next_run=now - timedelta(hours=1))
    due(name="sound", schedule_type="I", minutes=5)

    def refuse(sender: Any, task: dict[str, Any], **_: Any) -> None:
        if task["group"] in ("first", "second"):
            raise OperationalError("always")

    pre_enqueue.connect(refuse)
    try:
        for _ in range(3):
            with pytest.raises(OperationalError):
                queue_due_schedules(broker)
    finally:
        pre_enqueue.disconnect(refuse)
    assert Schedule.objects.get(name="sound").next_run > now
    queue_due_schedules(broker)
    assert not Schedule.objects.filter(next_run__lt=now).exists()


@pytest.mark.parametrize(
    ("kind", "repeats", "left"),
    [("O", -1, None), ("O", 2, 0), ("I", -1, -1), ("I", -5, -1), ("I", 2, 1), ("I", 1, 0)],
)
def test_kept_schedule_has_the_repeats_that_are_left(
    broker: NotifiedBroker, kind: str, repeats: int, left: int | None
) -> None:
    due(schedule_type=kind, minutes=5, repeats=repeats)
    queue_due_schedules(broker)
    queue_due_schedules(broker)
    assert OrmQ.objects.count() == 1
    assert list(Schedule.objects.values_list("repeats", flat=True)) == [left] * (left is not None)


def test_schedule_of_another_cluster_is_left_alone(broker: NotifiedBroker) -> None:
    due(cluster="another")
    queue_due_schedules(broker)
    assert not OrmQ.objects.exists() and Schedule.objects.get().repeats == -1


# --- checks and the admin ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["no.such.job", "tests.acceptance.jobs.nope", "os", "decimal.Decimal", "", "runs.models"],
)
def test_check_names_a_declared_job_that_is_none(settings: Settings, path: str) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "jobs": [NOTE, path]}
    (error,) = checks.jobs_can_be_imported()
    assert error.id == "runs.E009" and repr(path) in error.msg


def test_check_names_schedules_and_hooks_that_are_not_declared() -> None:
    assert checks.schedules_are_declared(databases=["default"]) == []
    due(name="sound")
    due(name="bad", func="os.system")
    due(name="hooked", hook="os.system")
    due(name="off", func="os.system", repeats=0)
    found = checks.schedules_are_declared(databases=["default"])
    assert [message.id for message in found] == ["runs.W001"] * 2
    assert checks.schedules_are_declared(databases=None) == []


def test_check_finds_the_queue_in_the_admin() -> None:
    assert checks.queue_is_not_in_the_admin() == []
    admin.site.register(Schedule)
    try:
        (error,) = checks.queue_is_not_in_the_admin()
        assert error.id == "runs.E010"
    finally:
        admin.site.unregister(Schedule)


@pytest.mark.parametrize(
    "path",
    [
        *(f"django_q/{name}" for name in ("schedule", "success", "failure", "ormq", "task")),
        *("auth/user", "auth/group"),
    ],
)
def test_admin_has_no_page_that_runs_code_or_makes_users(path: str) -> None:
    client = Client(REMOTE_ADDR="127.0.0.1", headers={"host": "127.0.0.1"})
    assert client.get("/admin/").status_code == 200
    for page in ("", "add/", "1/change/", "1/password/"):
        assert client.get(f"/admin/{path}/{page}").status_code == 404
        assert client.post(f"/admin/{path}/{page}", {"func": "os.system"}).status_code == 404


def test_admin_has_only_our_models() -> None:
    assert {model._meta.app_label for model in admin.site._registry} == {"runs", "artifacts"}
