"""What a node may ask for beside its state, in async and in sync nodes."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any, TypedDict

import pytest

from runs.engine import (
    START,
    Command,
    CompiledGraph,
    Context,
    MemoryJournal,
    RetryPolicy,
    StateGraph,
    SyncContext,
    interrupt,
)
from runs.engine.journal.ports import Blob
from tests.engine.mortal import Files, Hands


class State(TypedDict, total=False):
    x: Any


def only(node: Any, **options: Any) -> CompiledGraph:
    return StateGraph(State).add_node("node", node, **options).add_edge(START, "node").compile()


def test_log_names_run_and_node(caplog: pytest.LogCaptureFixture) -> None:
    def node(state: State, ctx: SyncContext) -> State:
        ctx.log.warning("paid %d", 5)
        return {"x": ctx.run_id}

    run_id = only(node).invoke({})["x"]
    (record,) = [one for one in caplog.records if one.name == "fastgraph.node"]
    assert (record.getMessage(), record.levelno) == ("paid 5", logging.WARNING)
    assert (record.run_id, record.node) == (run_id, "node")  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", ["async", "sync"])
async def test_sleep_until_goes_on_at_that_moment(form: str) -> None:
    clock = Hands()
    begun, calls = clock.now(), []

    async def sleeps(state: State, ctx: Context) -> State:
        calls.append(clock.now())
        await ctx.sleep_until(begun + timedelta(hours=2))
        await ctx.sleep_until(begun)  # over already
        return {"x": clock.now() - begun}

    def sleeps_sync(state: State, ctx: SyncContext) -> State:
        calls.append(clock.now())
        ctx.sleep_until(begun + timedelta(hours=2))
        ctx.sleep_until(begun)
        return {"x": clock.now() - begun}

    found = await only(sleeps if form == "async" else sleeps_sync).ainvoke({}, clock=clock)
    assert found == {"x": timedelta(hours=2)}
    assert calls == [begun, begun + timedelta(hours=2)]


async def test_the_idempotency_key_is_the_tasks_own() -> None:
    keys: list[str] = []

    async def node(state: State, ctx: Context) -> State:
        keys.append(ctx.idempotency_key)
        if len(keys) == 1:
            raise ConnectionError
        return {"x": interrupt("?")}

    graph = only(node, retry_policy=RetryPolicy(initial_interval=0, jitter=False))
    await graph.ainvoke({}, thread_id="t")
    await graph.ainvoke(Command(resume="!"), thread_id="t")
    assert len(keys) == 3  # it failed, asked, and was answered
    assert len(set(keys)) == 1
    await graph.ainvoke({}, thread_id="t")
    assert len(set(keys)) == 2


@pytest.mark.parametrize("form", ["async", "sync"])
async def test_save_artifact_stores_text_and_bytes(form: str) -> None:
    async def saves(state: State, ctx: Context) -> State:
        refs = [await ctx.save_artifact("a.txt", "é"), await ctx.save_artifact("b", b"\0", "x/y")]
        again = await ctx.save_artifact("a.txt", "other")
        return {"x": [*[one.describe() for one in refs], again.artifact_id]}

    def saves_sync(state: State, ctx: SyncContext) -> State:
        refs = [ctx.save_artifact("a.txt", "é"), ctx.save_artifact("b", b"\0", "x/y")]
        return {
            "x": [
                *[one.describe() for one in refs],
                ctx.save_artifact("a.txt", "other").artifact_id,
            ]
        }

    journal = MemoryJournal()
    graph = only(saves if form == "async" else saves_sync)
    found = await graph.ainvoke({}, thread_id="t", journal=journal, artifacts=Files())
    text, data, again = found["x"]
    assert (text["name"], text["media_type"], text["size"]) == ("a.txt", "text/plain", 2)
    assert (data["media_type"], data["size"]) == ("x/y", 1)
    assert again == text["artifact_id"] != data["artifact_id"]
    (newest, *_) = await journal.history("t")
    told = await journal.events(newest.run_id)
    assert [e["data"]["size"] for e in told if e["event"] == "artifact"] == [2, 1, 5]


@pytest.mark.parametrize("name", ["../x", "a/b", ""])
async def test_save_artifact_refuses_what_names_no_file(name: str) -> None:
    async def saves(state: State, ctx: Context) -> None:
        await ctx.save_artifact(name, "x")

    with pytest.raises(ValueError, match="name"):
        await only(saves).ainvoke({}, artifacts=Files())


class Kept(Files):
    """An artifact store that keeps the bytes."""

    def __init__(self) -> None:
        self.stored: list[bytes] = []

    def write(self, data: bytes) -> Blob:
        self.stored.append(data)
        return super().write(data)


@pytest.mark.parametrize("form", ["async", "sync"])
@pytest.mark.parametrize("data", [5, None, ["part"]], ids=["int", "None", "list"])
async def test_save_artifact_takes_bytes_and_text_alone(form: str, data: Any) -> None:
    async def saves(state: State, ctx: Context) -> None:
        await ctx.save_artifact("a.bin", data)

    def saves_sync(state: State, ctx: SyncContext) -> None:
        ctx.save_artifact("a.bin", data)

    files = Kept()
    with pytest.raises(TypeError, match="An artifact's content is bytes or text, not "):
        await only(saves if form == "async" else saves_sync).ainvoke({}, artifacts=files)
    assert not files.stored


async def test_save_artifact_takes_a_buffer_as_it_is_at_the_call() -> None:
    async def saves(state: State, ctx: Context) -> None:
        buffer = bytearray(b"first")
        saving = ctx.save_artifact("a.bin", buffer)
        buffer[:] = b"later"
        await saving

    files = Kept()
    await only(saves).ainvoke({}, artifacts=files)
    assert files.stored == [b"first"]


async def test_without_a_store_save_artifact_says_what_to_do() -> None:
    async def saves(state: State, ctx: Context) -> None:
        await ctx.save_artifact("x", "x")

    with pytest.raises(RuntimeError, match=r"give ainvoke\(artifacts=...\) a store"):
        await only(saves).ainvoke({})
