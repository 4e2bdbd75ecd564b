"""Change listeners run while there is a subscriber, and a little longer."""

from __future__ import annotations

import asyncio
import threading

import pytest

from streaming.listening import database, listeners
from streaming.listening.database import DatabaseChanges
from streaming.listening.listeners import ChangeListeners, OnChange
from tests.streaming.sockets import until


def _ignore(*, ended: bool = True) -> None:
    pass


class CountingListener:
    """Counts its starts and stops; `notify` reports a change while it runs."""

    def __init__(self) -> None:
        self.started = self.stopped = 0
        self.notify: OnChange = _ignore

    async def listen(self, on_change: OnChange) -> None:
        self.started += 1
        self.notify = on_change
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped += 1


async def visit(all_listeners: ChangeListeners, listener: CountingListener) -> None:
    """Subscribe, be notified, and leave."""
    event = asyncio.Event()
    with all_listeners.subscribe(event):
        await until(lambda: listener.started > listener.stopped, "it runs")
        listener.notify()
        assert event.is_set()


async def test_subscriber_to_ends_gets_nothing_else() -> None:
    listener = CountingListener()
    all_listeners = ChangeListeners([listener])
    anything, ends = asyncio.Event(), asyncio.Event()
    with all_listeners.subscribe(anything), all_listeners.subscribe(ends, ends_only=True):
        await until(lambda: listener.started, "it runs")
        listener.notify(ended=False)
        assert (anything.is_set(), ends.is_set()) == (True, False)
        listener.notify(ended=True)
        assert ends.is_set()
    await all_listeners.close()


async def test_next_subscriber_finds_the_listeners_running() -> None:
    listener = CountingListener()
    all_listeners = ChangeListeners([listener])
    for _ in range(3):
        await visit(all_listeners, listener)
    assert (listener.started, listener.stopped) == (1, 0)
    await all_listeners.close()
    assert listener.stopped == 1


async def test_listeners_stop_after_a_while_and_start_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listeners, "LINGER_SECONDS", 0.01)
    listener = CountingListener()
    all_listeners = ChangeListeners([listener])
    for visits in (1, 2):
        await visit(all_listeners, listener)
        await until(lambda: listener.stopped == listener.started, "it has stopped")
        assert listener.started == visits
    await all_listeners.close()


async def test_one_leaving_subscriber_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "LINGER_SECONDS", 0.0)
    listener = CountingListener()
    all_listeners = ChangeListeners([listener])
    with all_listeners.subscribe(asyncio.Event()):
        await visit(all_listeners, listener)
        await asyncio.sleep(0)
        await visit(all_listeners, listener)
        assert (listener.started, listener.stopped) == (1, 0)
    await all_listeners.close()


@pytest.mark.parametrize("opened_before", [True, False], ids=["opened before", "opened after"])
def test_listener_that_is_cancelled_while_it_opens_is_closed(
    monkeypatch: pytest.MonkeyPatch, opened_before: bool
) -> None:
    """Even if the event loop has ended before its thread has connected."""
    begun, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    class Opened:
        close = staticmethod(closed.set)

    def listen(alias: str, channel: str) -> Opened:
        begun.set()
        assert go_on.wait(60)
        return Opened()

    monkeypatch.setattr(database, "listen", listen)

    async def cancelled() -> None:
        listening = asyncio.ensure_future(DatabaseChanges().listen(_ignore))
        assert await asyncio.to_thread(begun.wait, 60)
        if opened_before:
            go_on.set()
        listening.cancel()
        await asyncio.wait([listening])
        asyncio.get_running_loop().call_soon(go_on.set)

    asyncio.run(cancelled())
    assert closed.wait(60)
