"""`/api/threads/{id}/stream`: the events of all runs of a thread."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from uuid import UUID, uuid4
from zlib import crc32

import pytest

from runs.engine.ids import uuid7
from runs.models import Event, Run, Thread
from streaming.http import run_events
from streaming.http.thread_log import LATE_RUN
from streaming.hub import hub
from tests.site.requests import Exchange
from tests.streaming.http import following, get, parse
from tests.streaming.journal_rows import append, committed, create_run
from tests.streaming.sockets import until


def run_on(thread: UUID, *names: str, run_id: UUID | None = None) -> UUID:
    """A further run on the thread, whose log is `created` and then `names`."""
    run = Run.objects.create(id=run_id or uuid7(), thread_id=thread, workflow="steps")
    append(run.id, "created", *names)
    return run.id


def thread_of(run_id: UUID) -> UUID:
    return Run.objects.get(id=run_id).thread_id


async def new_thread() -> tuple[UUID, UUID]:
    """A thread and its first run, which is under way."""
    run_id = await committed(create_run, "started")
    return await committed(thread_of, run_id), run_id


def seen(*clients: Exchange) -> dict[UUID, list[int]]:
    """The seqs that arrived, by run."""
    found: dict[UUID, list[int]] = defaultdict(list)
    for client in clients:
        for message in parse(client.body)[0]:
            found[UUID(message.frame["run_id"])].append(message.frame["seq"])
    return found


async def test_past_runs_then_those_under_way_then_those_to_come() -> None:
    thread, first = await new_thread()
    await committed(append, first, "completed")
    second = await committed(run_on, thread, "started")
    await committed(create_run, "started")  # of another thread
    async with following(f"/api/threads/{thread}/stream") as client:
        await until(lambda: seen(client) == {first: [1, 2, 3], second: [1, 2]}, "the past")
        third = await committed(run_on, thread)
        await committed(append, second, "completed")
        await committed(append, third, "started", "completed")
        expected = {first: [1, 2, 3], second: [1, 2, 3], third: [1, 2, 3]}
        await until(lambda: seen(client) == expected, "the rest")
        assert not client.complete
    assert not hub.current().subscribers


@pytest.mark.parametrize("seed", range(5))
async def test_from_any_cursor_every_event_comes_once(seed: int) -> None:
    chance = random.Random(seed)
    thread, first = await new_thread()
    runs, live = [first], [first]
    last = ""
    clients: list[Exchange] = []
    for _ in range(12):
        async with following(f"/api/threads/{thread}/stream", last_event_id=last) as client:
            if chance.random() < 0.4:
                runs.append(await committed(run_on, thread))
                live.append(runs[-1])
            if live and chance.random() < 0.9:
                run_id = chance.choice(live)
                ends = chance.random() < 0.3
                await committed(append, run_id, "custom", "completed" if ends else "custom")
                if ends:
                    live.remove(run_id)
            if chance.random() < 0.5:  # or leave without having read all
                total = await committed(Event.objects.filter(run__thread=thread).count)
                await until(
                    lambda client=client, total=total: (
                        len([s for found in seen(*clients, client).values() for s in found])
                        >= total
                    ),
                    "all is read",
                )
        last = parse(client.body)[1] or last
        clients.append(client)
    async with following(f"/api/threads/{thread}/stream?after={last}") as client:
        counts = dict(
            await committed(
                lambda: list(Run.objects.filter(thread=thread).values_list("id", "seq"))
            )
        )
        whole = {run_id: list(range(1, seq + 1)) for run_id, seq in counts.items()}
        await until(lambda: seen(*clients, client) == whole, "everything once, in order")


async def test_a_run_that_becomes_visible_late_is_not_missed() -> None:
    thread, first = await new_thread()
    late = uuid7()
    newer = await committed(run_on, thread, "completed")
    async with following(f"/api/threads/{thread}/stream") as client:
        both = {first: [1, 2], newer: [1, 2]}
        await until(lambda: seen(client) == both, "all before")
        last = parse(client.body)[1]
    await committed(run_on, thread, run_id=late)
    async with following(f"/api/threads/{thread}/stream", last_event_id=last) as again:
        expected = {first: [1, 2], newer: [1, 2], late: [1]}
        await until(lambda: seen(client, again) == expected, "the late one, and the rest once")


async def test_a_cursor_has_one_size_and_every_one_is_good() -> None:
    thread, first = await new_thread()
    runs = [first, *[await committed(run_on, thread) for _ in range(30)]]
    for n in range(90):
        await committed(append, runs[n % 31], "custom" if n < 70 else "completed")
    async with following(f"/api/threads/{thread}/stream") as client:
        total = await committed(Event.objects.filter(run__thread=thread).count)
        await until(lambda: len(parse(client.body)[0]) == total, "the past")
    messages = parse(client.body)[0]
    assert max(len(message.id) for message in messages) < 40
    for n in range(0, total, 7):
        address = f"/api/threads/{thread}/stream?after={messages[n].id}"
        async with following(address) as again:
            rest = [message.data for message in messages[n + 1 :]]
            await until(
                lambda again=again, rest=rest: [m.data for m in parse(again.body)[0]] == rest,
                "the rest, once",
            )


async def test_what_becomes_visible_late_is_not_missed() -> None:
    thread, first = await new_thread()
    late = await committed(run_on, thread)
    kept = await committed(lambda: Event.objects.get(run=late, seq=1))
    await committed(kept.delete)  # as if its transaction were still open
    await committed(append, first, "custom")
    async with following(f"/api/threads/{thread}/stream") as client:
        await until(lambda: seen(client) == {first: [1, 2, 3]}, "what is visible")
        last = parse(client.body)[1]
    await committed(kept.save, force_insert=True)
    async with following(f"/api/threads/{thread}/stream", last_event_id=last) as again:
        await until(lambda: seen(again).get(late) == [1], "the late one")
        await committed(append, late, "custom")
        await until(lambda: seen(again)[late] == [1, 2], "it goes on")


async def test_a_late_one_is_sent_to_who_is_there() -> None:
    thread, first = await new_thread()
    late = await committed(run_on, thread, "custom")
    kept = await committed(lambda: Event.objects.get(run=late, seq=2))
    await committed(kept.delete)
    async with following(f"/api/threads/{thread}/stream") as client:
        await committed(append, first, "custom")
        await until(lambda: seen(client) == {first: [1, 2, 3], late: [1]}, "what is visible")
        await committed(kept.save, force_insert=True)
        await committed(append, late, "custom")
        await until(lambda: seen(client)[late] == [1, 2, 3], "in order")


async def test_a_cursor_of_an_earlier_version_is_taken() -> None:
    thread, first = await new_thread()
    second = await committed(run_on, thread, "custom", "custom")
    await committed(append, first, "custom")
    old = f"{first}:2,{second}:1"
    async with following(f"/api/threads/{thread}/stream", last_event_id=old) as client:
        await until(lambda: seen(client) == {first: [3], second: [2, 3]}, "the rest")
        await committed(append, first, "custom")
        await until(lambda: seen(client)[first] == [3, 4], "live")
        last = parse(client.body)[1]
    async with following(f"/api/threads/{thread}/stream", last_event_id=last) as again:
        await committed(append, second, "custom")
        await until(lambda: seen(again) == {second: [4]}, "only what is new")


async def test_an_earlier_cursor_of_another_thread_is_refused() -> None:
    thread, first = await new_thread()
    _, other = await new_thread()
    address = f"/api/threads/{thread}/stream"
    for old in (f"{other}:1", f"{first}:2,{other}:2", f"{first}:3", f"{first}:{10**17}"):
        assert (await get(f"{address}?after={old}")).code == "bad_parameter"
        assert (await get(address, last_event_id=old)).code == "bad_header"


async def test_an_earlier_cursor_skips_nothing_for_what_it_lists_and_is_not_there() -> None:
    thread, first = await new_thread()
    ended = await committed(run_on, thread, "completed")
    for nobodys in (UUID(int=2**128 - 1), uuid7(), UUID(int=1)):
        for old, begin in ((f"{nobodys}:7", 1), (f"{nobodys}:7,{first}:1", 2)):
            async with following(f"/api/threads/{thread}/stream?after={old}") as client:
                expected = {first: list(range(begin, 3)), ended: [1, 2]}
                await until(
                    lambda client=client, expected=expected: seen(client) == expected, "all"
                )


async def test_an_earlier_cursor_passes_what_has_ended_and_nothing_else() -> None:
    thread = await committed(lambda: Thread.objects.create().id)
    age = LATE_RUN * 2
    ended, left = (UUID(int=uuid7().int - ((age + n) << 80)) for n in (2, 1))
    await committed(run_on, thread, "completed", run_id=ended)
    await committed(run_on, thread, "started", run_id=left)
    newest = await committed(run_on, thread, "started")
    async with following(f"/api/threads/{thread}/stream?after={newest}:1") as client:
        await until(lambda: seen(client) == {left: [1, 2], newest: [2]}, "what may be missing")
        await committed(append, left, "custom")
        await until(lambda: seen(client) == {left: [1, 2, 3], newest: [2]}, "it goes on")


async def test_a_cursor_beyond_the_newest_event_skips_nothing() -> None:
    thread, first = await new_thread()
    async with following(f"/api/threads/{thread}/stream") as client:
        await until(lambda: seen(client) == {first: [1, 2]}, "the past")
    last, count, _ = parse(client.body)[1].split(".")
    beyond = f"{int(last) + 10**6}.{count}"  # as after a backup was restored
    cursor = f"{beyond}.{crc32(f'{thread}:{beyond}'.encode()):08x}"
    async with following(f"/api/threads/{thread}/stream?after={cursor}") as client:
        await until(lambda: hub.current().live, "it is live")
        await committed(append, first, "custom")
        await until(lambda: seen(client) == {first: [3]}, "what comes")
        cursor = parse(client.body)[1]
    await committed(append, first, "custom")
    async with following(f"/api/threads/{thread}/stream?after={cursor}") as client:
        await until(lambda: seen(client) == {first: [4]}, "and no other")


async def test_the_cursor_of_another_thread_is_refused() -> None:
    thread, _ = await new_thread()
    other, _ = await new_thread()
    async with following(f"/api/threads/{thread}/stream") as client:
        await until(lambda: parse(client.body)[0], "something")
    last = parse(client.body)[1]
    assert (await get(f"/api/threads/{other}/stream?after={last}")).code == "bad_parameter"


async def test_silence_is_filled_with_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_events, "BEAT", 0.02)
    thread, run_id = await new_thread()
    async with following(f"/api/threads/{thread}/stream?modes=updates") as client:
        await committed(append, run_id, "custom", "custom")
        newest = await committed(lambda: Event.objects.get(run=run_id, seq=4).id)
        await until(lambda: parse(client.body)[1].startswith(f"{newest}."), "the cursor goes on")
        assert seen(client) == {run_id: [1, 2]}


async def test_deleting_the_thread_ends_the_stream() -> None:
    thread, run_id = await new_thread()
    other = await committed(run_on, thread)
    async with following(f"/api/threads/{thread}/stream") as client:
        await until(lambda: hub.current().live == 2, "it is live")
        await committed(Run.objects.filter(id=other).delete)
        await until(lambda: hub.current().live == 1, "the deleted run is followed no more")
        await committed(append, run_id, "custom")
        await until(lambda: seen(client)[run_id] == [1, 2, 3], "the other goes on")
        await committed(Thread.objects.filter(id=thread).delete)
        await until(lambda: client.complete, "it has ended")
    assert (await get(f"/api/threads/{thread}/stream")).code == "unknown_thread"


@pytest.mark.parametrize(
    "cursor", ["x", "1:2", ",", "1.1.00000000", "1.1", f"{UUID(int=5)}", f"{UUID(int=5)}:x"]
)
async def test_bad_cursors(cursor: str) -> None:
    thread, _ = await new_thread()
    address = f"/api/threads/{thread}/stream"
    assert (await get(f"{address}?after={cursor}")).code == "bad_parameter"
    assert (await get(address, last_event_id=cursor)).code == "bad_header"


async def test_an_unknown_thread_is_a_404_problem() -> None:
    for given in (str(uuid4()), "x"):
        assert (await get(f"/api/threads/{given}/stream")).code == "unknown_thread"


async def test_a_server_that_stops_ends_it_and_leaves_no_task() -> None:
    thread, _ = await new_thread()
    async with following(f"/api/threads/{thread}/stream") as client:
        await until(lambda: hub.current().live, "it is live")
        hub.disconnect_all()
        await until(lambda: client.complete, "it has ended")
    await hub.close()
    await until(lambda: len(asyncio.all_tasks()) == 1, "every task but the test has ended")
