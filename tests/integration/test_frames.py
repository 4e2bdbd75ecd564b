"""Frames say what the rows say, on every database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest

from runs.engine import serde
from runs.models import Event, Run, Thread
from runs.queries import event_frames

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
    (frame,) = event_frames.read({run.pk: 0}, limit=10)
    stamp = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    said = {"event": "created", "seq": 1, "run_id": str(run.pk), "ts": stamp}
    assert frame.body == orjson.dumps(said)
    assert (frame.run_id, frame.seq, frame.event) == (run.pk, 1, "created")


def test_what_there_is_is_said_and_data_as_they_were_written() -> None:
    data = '{"b": 1.0, "a": 123456789012345678901234567890}'
    now = datetime.now(UTC)
    place = {"node": "ask", "step": 3, "namespace": "one:2|two:3"}
    run = run_with(Event(name="custom:x", ts=now, data=data, **place))
    (frame,) = event_frames.read({run.pk: 0}, limit=10)
    assert frame.body.endswith(f',"data":{data}}}'.encode())
    assert {**orjson.loads(frame.body), "ts": "", "data": ""} == {
        "event": "custom:x", "seq": 1, "run_id": str(run.pk), "ts": "", "data": "", **place
    }  # fmt: skip


def test_each_run_goes_on_from_its_own_place_up_to_the_limit() -> None:
    now = datetime.now(UTC)
    first, second = (run_with(*(Event(name="custom", ts=now) for _ in range(5))) for _ in "ab")
    found = event_frames.read({second.pk: 1, first.pk: 3}, limit=5)
    seqs = [(frame.run_id, frame.seq) for frame in found]
    places = [(run.pk, seq) for run, seq in [(first, 4), (first, 5), (second, 2), (second, 3)]]
    assert seqs == [*places, (second.pk, 4)]
    assert event_frames.read({}, limit=5) == []


@pytest.mark.parametrize(
    "text", ["x", "é", "𝄞", "\x01", '"'], ids=["ascii", "two", "four", "control", "quote"]
)
@pytest.mark.parametrize("spare", [-1, 0, 1])
def test_no_frame_is_longer_than_the_limit(text: str, spare: int) -> None:
    now = datetime.now(UTC)
    (empty,) = event_frames.read({run_with(Event(name="custom", ts=now, data='""')).pk: 0}, limit=1)
    room = event_frames.MAX_FRAME_BYTES - len(empty.body) + spare
    each = len(orjson.dumps(text)) - 2
    data = orjson.dumps(text * (room // each) + "x" * (room % each)).decode()
    run = run_with(Event(name="custom", ts=now, data=data))
    (frame,) = event_frames.read({run.pk: 0}, limit=1)
    whole = event_frames.read_whole(run.pk, 1)
    assert whole is not None
    assert len(whole) == event_frames.MAX_FRAME_BYTES + spare
    assert orjson.loads(whole)["data"] == orjson.loads(data)
    if spare <= 0:
        assert frame.body == whole
        return
    said = orjson.loads(frame.body)
    assert said.pop("data_url") == f"/api/runs/{run.pk}/events/1"
    assert said == {key: v for key, v in orjson.loads(whole).items() if key != "data"}


def test_data_are_plain_json_however_they_are_stored() -> None:
    data = serde.dumps({"at": MOMENTS["of a whole second"], "a": ({"$type": "x"}, {3, 1})})
    run = run_with(Event(name="custom", ts=datetime.now(UTC), data=data.decode()))
    (frame,) = event_frames.read({run.pk: 0}, limit=10)
    plain = {"at": "2026-01-02T03:04:05+00:00", "a": [{"$type": "x"}, [1, 3]]}
    assert orjson.loads(frame.body)["data"] == plain
    assert event_frames.read_whole(run.pk, 1) == frame.body


@pytest.mark.parametrize(
    ("data", "cut"),
    [
        ('{"$cut":300000,"head":"{\\"a\\":"}', True),
        ('{"$cut":5}', False),
        ('{"$cut":5,"head":"x","a":1}', False),
        ('{"$cut":"5","head":"x"}', False),
    ],
)
def test_what_an_earlier_version_noted_is_told_from_its_states(data: str, cut: bool) -> None:
    run = run_with(Event(name="node_update", ts=datetime.now(UTC), data=data))
    (frame,) = event_frames.read({run.pk: 0}, limit=10)
    assert orjson.loads(frame.body)["data"] == orjson.loads(data)
    assert ("data_url" in orjson.loads(frame.body)) is cut


def test_one_page_has_room_for_so_much() -> None:
    now = datetime.now(UTC)
    run = run_with(*(Event(name="custom", ts=now, data=f'"{"x" * 1000}"') for _ in range(5)))
    size = len(event_frames.read({run.pk: 0}, limit=1)[0].body)
    for limit, most, count in ((9, 10, 1), (9, 2 * size, 2), (9, 3 * size - 1, 2), (4, 10_000, 4)):
        page = event_frames.read({run.pk: 0}, limit=limit, size=most)
        assert (len(page), page.more) == (count, True)
        assert event_frames.read_thread(run.thread_id, 0, limit=limit, size=most) == (
            page,
            page[-1].id,
        )
    page = event_frames.read({run.pk: 0}, limit=5)
    assert (len(page), page.more) == (5, False)
    newest = Event.objects.latest("id").pk
    assert event_frames.read_thread(run.thread_id, 0, limit=5) == (page, newest)
    assert event_frames.read_thread(run.thread_id, newest, limit=5) == ([], newest)


def test_an_answer_says_where_it_ends_and_whether_there_is_more() -> None:
    now = datetime.now(UTC)
    run = run_with(*(Event(name="custom", ts=now) for _ in range(5)))
    page = event_frames.read({run.pk: 0}, limit=4)
    for limit, count, more in ((9, 4, True), (4, 4, True), (3, 3, True)):
        body = event_frames.events_page(page, 0, limit)
        assert (len(body["results"]), body["after"], body["more"]) == (count, count, more)
    assert event_frames.events_page(event_frames.read({run.pk: 4}, limit=4), 4, 4)["more"] is False
    assert event_frames.events_page(event_frames.Page(), 7, 5) == {
        "results": [],
        "after": 7,
        "more": False,
    }
