"""The commands that start, replay and follow runs: what they print, and how they end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from io import StringIO
from pathlib import Path
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections
from django.utils import timezone
from pytest_django import Settings

from runs.engine.ids import uuid7
from runs.management import following
from runs.models import Event, Run, RunStatus, Worker
from runs.queries import event_frames
from tests.support.worker import run_pending

pytestmark = pytest.mark.django_db(transaction=True)


class Ended:
    """What a command printed, and the code it ended with."""

    def __init__(self, *arguments: str) -> None:
        out, err = StringIO(), StringIO()
        self.code = 0
        self.refused = ""
        try:
            call_command(*arguments, stdout=out, stderr=err)
        except SystemExit as ended:
            self.code = int(str(ended.code))
        except CommandError as error:
            self.code, self.refused = error.returncode, str(error)
        self.lines = out.getvalue().splitlines()
        self.warned = err.getvalue().strip()

    @property
    def run(self) -> Run:
        return Run.objects.get(pk=UUID(self.lines[0]))


@pytest.fixture
def worker(settings: Settings, tmp_path: Path) -> Callable[[], None]:
    """Executes what is pending, in this process."""
    settings.FASTGRAPH = {
        **settings.FASTGRAPH, "linger_seconds": 0.02, "data_dir": tmp_path,
    }  # fmt: skip
    return run_pending


@pytest.fixture
def alive(db: None) -> Worker:
    return Worker.objects.create(host="here", pid=1, process_started="1")


def steps(count: int = 2, **more: object) -> str:
    return json.dumps({"steps": count, "seconds": 0, **more})


def test_a_run_is_made_and_its_id_printed(alive: Worker, tmp_path: Path) -> None:
    (tmp_path / "payload.json").write_text(steps(3))
    ended = Ended(
        "run_workflow", "steps", "--payload", f"@{tmp_path}/payload.json",
        "--name", "Nightly", "--tags", "a, b,",
    )  # fmt: skip
    assert (ended.code, len(ended.lines), ended.warned) == (0, 1, "")
    run = ended.run
    assert (run.status, run.workflow, run.name) == (RunStatus.PENDING, "steps", "Nightly")
    assert (run.payload, run.tags) == ({"steps": 3, "seconds": 0}, ["a", "b"])


def test_it_says_when_nobody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PATIENCE", timedelta(0))
    ended = Ended("run_workflow", "steps", "--payload", steps())
    assert ended.code == 0 and ended.warned == following.NO_WORKER
    assert ended.run.status == RunStatus.PENDING


def test_a_worker_that_fell_silent_is_nobody(
    alive: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PATIENCE", timedelta(0))
    Worker.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    assert Ended("run_workflow", "steps", "--payload", steps()).warned == following.NO_WORKER


def test_a_cluster_that_was_never_busy_is_given_its_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker is on record only from its first run on: ours claims on the second look."""
    looks: list[float] = []

    def claimed(seconds: float) -> None:
        looks.append(seconds)
        Run.objects.update(status=RunStatus.RUNNING)

    monkeypatch.setattr(time, "sleep", claimed)
    ended = Ended("run_workflow", "steps", "--payload", steps())
    assert ended.warned == "" and len(looks) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nope"], "no workflow named 'nope'"),
        (["steps", "--payload", "{x"], "--payload is not JSON"),
        (["steps", "--payload", "[]"], "must be a JSON object"),
        (["steps", "--payload", '{"steps": NaN}'], "/payload/steps"),
        (["steps", "--payload", '{"steps": 0}'], "less than the minimum of 1"),
        (["steps", "--payload", '{"steps": 0, "x": 1}'], "\n  /payload/steps: 0 is less"),
        (["steps", "--payload", "[" * 100_000], "--payload is not JSON"),
        (["steps", "--payload", "@/not/there"], "/not/there cannot be read"),
        (["steps", "--payload", "@a\0b"], "cannot be read"),
        (["steps", "--payload", steps(), "--name", "x" * 201], "200 characters"),
        (["steps", "--payload", steps(), "--tags", "x" * 65], "64 characters"),
    ],
)
def test_what_cannot_be_run_is_refused_with_code_2(arguments: list[str], says: str) -> None:
    ended = Ended("run_workflow", *arguments)
    assert ended.code == 2 and says in f"{ended.refused}"
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("payload", "code", "last"),
    [(steps(2), 0, "completed"), (steps(3, fail_at=2), 1, "failed")],
)
def test_following_prints_every_event_to_the_end(
    worker: Callable[[], None], payload: str, code: int, last: str
) -> None:
    def work() -> None:
        try:
            while not Run.objects.exists():
                time.sleep(0.01)
            worker()
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    ended = Ended("run_workflow", "steps", "--payload", payload, "--follow")
    thread.join()
    assert ended.code == code
    shown, _, error = "\n".join(ended.lines[1:]).partition("\n\n")
    assert ("Traceback" in error and "Step 2 fails" in error) is (last == "failed")
    printed = [line.split()[1:3] for line in shown.splitlines()]
    events = Event.objects.filter(run=ended.run).order_by("seq").values_list("seq", "name")
    assert printed == [[str(seq), name] for seq, name in events]
    assert printed[-1][1] == last


def test_the_log_has_the_traceback_of_a_node_that_failed(
    worker: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    run = Ended("run_workflow", "steps", "--payload", steps(2, fail_at=1)).run
    worker()
    (record,) = [each for each in caplog.records if each.name == "fastgraph.run"]
    assert f"Run {run.pk} of steps failed: RuntimeError: Step 1 fails" in record.message
    assert "raise RuntimeError(" in caplog.text and "/runs/engine/" not in caplog.text


def test_raw_events_are_the_frames(worker: Callable[[], None]) -> None:
    run = Ended("run_workflow", "steps", "--payload", steps()).run
    worker()
    ended = Ended("follow", str(run.pk), "--json")
    assert ended.code == 0
    assert ended.lines == [
        frame.body.decode() for frame in event_frames.read({run.pk: 0}, limit=100)
    ]
    later = Ended("follow", str(run.pk), "--json", "--after", "3")
    assert later.lines == ended.lines[3:]


def test_a_run_that_was_over_before_ends_at_once(worker: Callable[[], None]) -> None:
    run = Ended("run_workflow", "steps", "--payload", steps(2, fail_at=1)).run
    worker()
    ended = Ended("follow", str(run.pk), "--after", "1000")
    assert (ended.code, ended.lines) == (1, [])


def test_a_cancelled_run_has_code_2(alive: Worker) -> None:
    run = Ended("run_workflow", "steps", "--payload", steps()).run
    Event.objects.create(run=run, seq=2, name="cancelled", ts=timezone.now(), data='{"reason":"x"}')
    assert Ended("follow", str(run.pk)).code == 2


def test_following_waits_for_a_database_that_is_away(
    monkeypatch: pytest.MonkeyPatch, worker: Callable[[], None]
) -> None:
    run = Ended("run_workflow", "steps", "--payload", steps(1)).run
    worker()
    read, outages = event_frames.read, iter([True, True, False, True])

    def sometimes(after: Mapping[UUID, int], *, limit: int) -> event_frames.Page:
        if next(outages, False):
            raise OperationalError("the server closed the connection")
        return read(after, limit=limit)

    monkeypatch.setattr(event_frames, "read", sometimes)
    monkeypatch.setattr(following, "BATCH", 2)
    ended = Ended("follow", str(run.pk), "--json")
    seqs = [json.loads(line)["seq"] for line in ended.lines]
    run.refresh_from_db()
    assert (seqs, ended.code) == (list(range(1, run.seq + 1)), 0)
    assert ended.warned.count("does not answer") == 2
    assert ended.warned.count("answers again") == 2


def test_ctrl_c_stops_the_following_and_not_the_run(
    alive: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Ended("run_workflow", "steps", "--payload", steps()).run

    def pressed(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", pressed)
    ended = Ended("follow", str(run.pk))
    assert ended.code == 130
    assert f"manage.py follow {run.pk} --after 1" in ended.warned
    run.refresh_from_db()
    assert run.status == RunStatus.PENDING


def test_a_run_that_is_deleted_meanwhile_is_said_to_be(
    alive: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Ended("run_workflow", "steps", "--payload", steps()).run
    monkeypatch.setattr(time, "sleep", lambda seconds: run.delete())
    key = run.pk
    ended = Ended("follow", str(key))
    assert ended.code == 2 and f"{key} was deleted" in ended.refused


@pytest.mark.parametrize("run_id", ["nope", str(uuid7()), "\0"], ids=["word", "uuid", "NUL"])
@pytest.mark.parametrize("command", ["follow", "replay_run"])
def test_an_unknown_run(command: str, run_id: str) -> None:
    ended = Ended(command, run_id)
    assert ended.code == 2 and "There is no run" in ended.refused


def test_following_says_when_nobody_is_there_for_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(following, "PATIENCE", timedelta(0))
    run = Ended("run_workflow", "steps", "--payload", steps()).run

    def cancelled(seconds: float) -> None:
        Event.objects.create(run=run, seq=2, name="cancelled", ts=timezone.now())

    monkeypatch.setattr(time, "sleep", cancelled)
    assert Ended("follow", str(run.pk)).warned == following.NO_WORKER


def test_a_negative_cursor_is_refused(alive: Worker) -> None:
    run = Ended("run_workflow", "steps", "--payload", steps()).run
    ended = Ended("follow", str(run.pk), "--after", "-1")
    assert ended.code == 2 and "0 or more" in ended.refused


def test_replaying_from_the_beginning_with_another_payload(worker: Callable[[], None]) -> None:
    first = Ended("run_workflow", "steps", "--payload", steps(2)).run
    worker()
    again = Ended("replay_run", str(first.pk), "--set", "steps=1", "--set", "seconds=0.0").run
    assert (again.source_run_id, again.payload) == (first.pk, {"steps": 1, "seconds": 0.0})
    assert again.thread_id != first.thread_id


def test_replaying_from_a_step(worker: Callable[[], None]) -> None:
    first = Ended("run_workflow", "steps", "--payload", steps(4)).run
    worker()
    made = Ended("replay_run", str(first.pk), "--from-step", "2", "--set", "steps=3")
    worker()
    ended = Ended("follow", str(made.run.pk), "--json")
    done = [json.loads(line)["data"] for line in ended.lines if '"node_update"' in line]
    assert (ended.code, done) == (0, [{"done": [3]}])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--set", "steps"], "key=JSON"),
        (["--set", "=1"], "key=JSON"),
        (["--set", "steps=x"], "--set steps is not JSON"),
        (["--set", "steps=0"], "less than the minimum"),
        (["--from-step", "99"], "no checkpoint"),
    ],
)
def test_what_cannot_be_replayed_is_refused(alive: Worker, arguments: list[str], says: str) -> None:
    run = Ended("run_workflow", "steps", "--payload", steps()).run
    ended = Ended("replay_run", str(run.pk), *arguments)
    assert ended.code == 2 and says in ended.refused
    assert Run.objects.count() == 1


def test_a_line_is_short_and_harmless_to_a_terminal(alive: Worker) -> None:
    run = Ended("run_workflow", "steps", "--payload", steps()).run
    data = json.dumps({"text": "\x1b[31mred\u202e" + "x" * 500}, ensure_ascii=False)
    Event.objects.create(run=run, seq=2, name="failed", ts=timezone.now(), node="step", data=data)
    line = Ended("follow", str(run.pk)).lines[-1]
    assert line.isprintable() and len(line) < 160 and line.endswith("…")
