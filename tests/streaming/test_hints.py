"""Hints through Redis: faster where it is there, and never needed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest
from channels.layers import channel_layers
from django.conf import settings
from django.test import override_settings

from streaming.hub.hub import Hub, installed_listeners
from streaming.listening import channel_layer
from tests.streaming.journal_rows import append, committed, create_run
from tests.streaming.sockets import until
from tests.streaming.test_hub import NEVER, follow


def layer_at(url: str) -> override_settings:
    backend = "channels_redis.pubsub.RedisPubSubChannelLayer"
    return override_settings(
        CHANNEL_LAYERS={"default": {"BACKEND": backend, "CONFIG": {"hosts": [url]}}}
    )


async def flush() -> None:
    """Free the layer's connections."""
    layer = channel_layer.crossing_layer()
    assert layer is not None
    await layer.flush()


@pytest.fixture(autouse=True)
def _not_silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(channel_layer, "_silent_until", 0.0)
    yield
    channel_layers.backends.clear()


async def test_nothing_is_sent_through_a_layer_that_does_not_cross() -> None:
    assert "InMemory" in settings.CHANNEL_LAYERS["default"]["BACKEND"]
    assert channel_layer.crossing_layer() is None
    await channel_layer.send()
    assert not [each for each in installed_listeners() if isinstance(each, channel_layer.Hints)]


@pytest.mark.redis
async def test_a_hint_wakes_the_hub(redis_url: str) -> None:
    with layer_at(redis_url):
        run_id = await committed(create_run, "started")
        listeners = [
            each for each in installed_listeners() if isinstance(each, channel_layer.Hints)
        ]
        own = Hub(listeners, slow_poll=NEVER)
        following = asyncio.create_task(follow(own, run_id))
        await until(lambda: own.log_reads >= 2, "the listener runs")
        await committed(append, run_id, "completed")
        await channel_layer.send()
        assert await following == [1, 2, 3]
        await own.close()
        await flush()


@pytest.mark.redis
async def test_each_commit_of_a_worker_is_hinted_at(redis_url: str) -> None:
    with layer_at(redis_url):
        hint = channel_layer.hint_sender(asyncio.get_running_loop())
        reported: asyncio.Queue[bool] = asyncio.Queue()

        def on_change(*, ended: bool = True) -> None:
            reported.put_nowait(ended)

        listening = asyncio.create_task(channel_layer.Hints().listen(on_change))
        assert await asyncio.wait_for(reported.get(), 10)  # it listens
        for ended in (False, True, False):
            await asyncio.to_thread(hint, ended)
            assert await asyncio.wait_for(reported.get(), 10) is ended
        for ended in (False, True, False):
            hint(ended)  # before the first of them is on its way: they become one
        assert await asyncio.wait_for(reported.get(), 10) is True
        assert reported.empty()
        listening.cancel()
        await asyncio.wait([listening])
        await flush()


async def test_a_redis_that_is_down_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    with layer_at("redis://127.0.0.1:1/0"):
        for _ in range(3):
            await channel_layer.send()
        warnings = [r for r in caplog.records if r.levelno == logging.WARNING]
        assert [r.name for r in warnings] == ["streaming.listening.channel_layer"]
        run_id = await committed(create_run, "started")
        own = Hub()
        following = asyncio.create_task(follow(own, run_id))
        await until(lambda: own.watching, "the run is watched")
        await committed(append, run_id, "completed")
        assert await following == [1, 2, 3]
        await own.close()
        await flush()
