"""Frames say what the rows say, on every database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest

from runs import frames
from runs.models import Event, Run, Thread

pytestmark = pytest.mark.django_db

MOMENTS = {
    "with microseconds": datetime(2026, 1, 2, 3, 4, 5, 678, UTC),
    "of a whole second": datetime(2026, 1, 2, 3, 4, 5, 0, UTC),
    "elsewhere": datetime(2026, 1, 2, 3, 4, 5, 600_000, timezone(timedelta(hours=2))),
}


def run_with(*events: Event) -> Run:
    run = Run.objects.create(thread=Thread.objects.create(), workflow="steps")
    for seq, event in enumerate(events, start=1):
        event.run, event.seq = run, seq
        event.save()
    return run


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_the_moment_is_in_utc_with_microseconds(moment: datetime) -> None:
    run = run_with(Event(name="created", ts=moment))
    (frame,) = frames.read({run.pk: 0}, limit=10)
    stamp = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    said = {"event": "created", "seq": 1, "run_id": str(run.pk), "ts": stamp}
    assert frame.body == orjson.dumps(said)
    assert (frame.run_id, frame.seq, frame.event) == (run.pk, 1, "created")


def test_what_there_is_is_said_and_data_as_they_were_written() -> None:
    data = '{"b": 1.0, "a": 123456789012345678901234567890}'
    now = datetime.now(UTC)
    place = {"node": "ask", "step": 3, "namespace": "one:2|two:3"}
    run = run_with(Event(name="custom:x", ts=now, data=data, **place))
    (frame,) = frames.read({run.pk: 0}, limit=10)
    assert frame.body.endswith(f',"data":{data}}}'.encode())
    assert {**orjson.loads(frame.body), "ts": "", "data": ""} == {
        "event": "custom:x", "seq": 1, "run_id": str(run.pk), "ts": "", "data": "", **place
    }  # fmt: skip


def test_each_run_goes_on_from_its_own_place_up_to_the_limit() -> None:
    now = datetime.now(UTC)
    first, second = (run_with(*(Event(name="custom", ts=now) for _ in range(5))) for _ in "ab")
    found = frames.read({second.pk: 1, first.pk: 3}, limit=5)
    seqs = [(frame.run_id, frame.seq) for frame in found]
    places = [(run.pk, seq) for run, seq in [(first, 4), (first, 5), (second, 2), (second, 3)]]
    assert seqs == [*places, (second.pk, 4)]
    assert frames.read({}, limit=5) == []
