"""`cancel` and `resume` on the socket: as over REST, for the same user."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypedDict
from unittest import mock
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client as Browser
from pytest_django import Settings

from fastgraph_site.web import socket_commands
from fastgraph_site.web.guard import Guard
from fastgraph_site.web.socket_commands import SocketCommands
from runs import workflows
from runs.engine import START, StateGraph, interrupt
from runs.models import Event, Run, RunStatus
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from streaming.routing import sockets
from tests.streaming.journal_rows import committed
from tests.streaming.journal_rows import create_run as create_row
from tests.streaming.sockets import Client, connected
from tests.support.worker import run_pending

SOCKET = "/api/ws/?feed=off"


class State(TypedDict, total=False):
    answer: Any


async def ask(state: State) -> State:
    return {"answer": interrupt("what?")}


@pytest.fixture(autouse=True)
def workflow(settings: Settings) -> Iterator[None]:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "linger_seconds": 0.02}
    with workflows.temporary():
        graph = StateGraph(State).add_node("ask", ask).add_edge(START, "ask")
        workflows.register("asks", graph.compile())
        yield


@pytest.fixture
async def application() -> AsyncIterator[Any]:
    commands = SocketCommands()
    yield Guard(sockets(commands))
    await commands.close()


def drained() -> None:
    run_pending()


def that_asks() -> UUID:
    """A run that waits for an answer."""
    run = create_run(NewRun(workflow="asks"))
    drained()
    return run.pk


def at(application: Any, **headers: str) -> Any:
    return connected(SOCKET, application, host="127.0.0.1:8000", **headers)


async def exchange(client: Client, **message: Any) -> dict[str, Any]:
    """The answer to a message."""
    await client.socket.send_to(text_data=json.dumps(message))
    return await client.receive()


def run_of(run_id: UUID) -> Run:
    return Run.objects.get(id=run_id)


async def test_cancel_ends_a_run_and_records_who_and_why(application: Any) -> None:
    run_id = await committed(lambda: create_run(NewRun(workflow="asks")).pk)
    async with at(application) as client:
        await client.receive_event("ready")
        answer = await exchange(client, type="cancel", run_id=str(run_id), reason="enough", id=7)
        about = {"type": "cancel", "run_id": str(run_id)}
        assert answer == {"event": "ok", "id": 7, **about, "status": "cancelled"}
        again = await exchange(client, type="cancel", run_id=str(run_id))
        assert again == {"event": "ok", **about, "status": "cancelled"}
    run = await committed(run_of, run_id)
    assert (run.status, run.cancel_by, run.cancel_reason) == ("cancelled", "local", "enough")


async def test_cancel_running_run_requests_its_stop(application: Any) -> None:
    run_id = await committed(create_row, "started")
    async with at(application) as client:
        await client.receive_event("ready")
        answer = await exchange(client, type="cancel", run_id=str(run_id))
        assert (answer["event"], answer["status"]) == ("ok", "running")
    assert (await committed(run_of, run_id)).cancel_requested_at is not None


async def test_who_has_logged_in_is_who_cancels(application: Any) -> None:
    run_id = await committed(lambda: create_run(NewRun(workflow="asks")).pk)
    cookie = await committed(logged_in, "alice")
    async with at(application, cookie=cookie, origin="http://127.0.0.1:8000") as client:
        await client.receive_event("ready")
        assert (await exchange(client, type="cancel", run_id=str(run_id)))["event"] == "ok"
    assert (await committed(run_of, run_id)).cancel_by == "alice"


def logged_in(name: str) -> str:
    browser = Browser()
    browser.force_login(User.objects.create_user(name))
    return f"theme=dark; sessionid={browser.cookies['sessionid'].value}"


async def test_resume_answers_what_a_run_has_asked(application: Any) -> None:
    run_id = await committed(that_asks)
    async with at(application) as client:
        await client.receive_event("ready")
        await exchange(client, type="subscribe", run_id=str(run_id))
        await client.receive_event("interrupted")
        answer = {"sure": True, "big": 2**62 + 1}
        answered = await exchange(client, type="resume", run_id=str(run_id), resume=answer, id="r")
        about = {"type": "resume", "run_id": str(run_id), "status": "pending"}
        assert answered == {"event": "ok", "id": "r", **about}
        await committed(drained)
        await client.receive_event("end")
        late = await exchange(client, type="resume", run_id=str(run_id), resume=answer)
        assert (late["event"], late["code"]) == ("problem", "not_interrupted")
    assert (await committed(run_of, run_id)).status == RunStatus.COMPLETED
    updates = await committed(lambda: Event.objects.get(run_id=run_id, name="node_update").data)
    assert json.loads(updates)["answer"] == answer


async def test_the_answer_of_somebody_else_was_first(application: Any) -> None:
    run_id = await committed(that_asks)
    async with at(application) as one, at(application) as two:
        answers = []
        for client in (one, two):
            await client.receive_event("ready")
            answers.append(await exchange(client, type="resume", run_id=str(run_id), resume=1))
    assert [answer["event"] for answer in answers] == ["ok", "problem"]


@pytest.mark.parametrize(
    ("fields", "event", "code"),
    [
        ({"type": "cancel", "reason": 1}, "problem", "invalid"),
        ({"type": "cancel", "reason": "x" * 501}, "problem", "invalid"),
        ({"type": "cancel", "raeson": "x"}, "error", "invalid"),
        ({"type": "cancel"}, "problem", "unknown_run"),
        ({"type": "resume"}, "error", "invalid"),
        ({"type": "resume", "resume": 2**64}, "problem", "invalid"),
        ({"type": "resume", "resume": "a\x00b"}, "problem", "invalid"),
        ({"type": "resume", "resume": 1}, "problem", "unknown_run"),
    ],
)
async def test_what_cannot_be_done_is_answered(
    application: Any, fields: dict[str, Any], event: str, code: str
) -> None:
    async with at(application) as client:
        await client.receive_event("ready")
        answer = await exchange(client, **fields, run_id=str(uuid4()), id=3)
        assert (answer["event"], answer["code"], answer["id"]) == (event, code, 3)
        assert answer["detail"]
        assert await exchange(client, type="ping") == {"event": "pong"}


async def test_a_run_that_has_ended_is_not_cancelled(application: Any) -> None:
    run_id = await committed(create_row, "completed")
    async with at(application) as client:
        await client.receive_event("ready")
        answer = await exchange(client, type="cancel", run_id=str(run_id))
        assert (answer["event"], answer["code"]) == ("problem", "already_ended")


async def test_a_database_that_does_not_answer_costs_no_socket(application: Any) -> None:
    async with at(application) as client:
        await client.receive_event("ready")
        with mock.patch.object(socket_commands, "cancel_run", side_effect=OperationalError("gone")):
            answer = await exchange(client, type="cancel", run_id=str(uuid4()))
        assert (answer["event"], answer["code"]) == ("problem", "database_unavailable")
        assert await exchange(client, type="ping") == {"event": "pong"}


async def test_another_sites_page_commands_nothing(application: Any) -> None:
    headers = {"host": "127.0.0.1:8000", "origin": "http://evil.example"}
    client = Client(SOCKET, application, **headers)
    accepted, _ = await client.socket.connect()
    assert not accepted
