"""The main job, end to end: a run from HTTP to its artifact, on real processes that may die."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.processes import Server, wait_until
from tests.support.promises import promise

TEXT = "The quick brown fox jumps over the lazy dog. It does so every day, rain or shine. " * 20
STEPS = 25
SECONDS = 0.04


def test_a_run_from_creation_to_download(client: Client) -> None:
    run = client.create(payload={"input": TEXT}, tags=["a"], metadata={"k": [1]})
    assert run["run_id"] == run["id"]
    live = client.frames(run["id"])
    ended = client.wait(run["id"])
    assert ended["status"] == "completed", ended["error"]
    names = [frame["event"] for frame in live]
    assert names[:2] == ["created", "started"]
    assert names[-1] == "completed"
    assert [frame["seq"] for frame in live] == list(range(1, len(live) + 1))
    assert {"node_started", "node_update", "checkpoint", "artifact"} <= set(names)

    artifacts = client.artifacts(run["id"])
    assert set(artifacts) == {"result.json", "report.md"}
    rows = client.get(f"/api/artifacts/?run={run['id']}")["results"]
    for row in rows:
        data = artifacts[row["name"]]
        assert (row["size"], row["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    state = client.get(f"/api/runs/{run['id']}/state")
    result = json.loads(artifacts["result.json"])
    assert result == {key: state["values"][key] for key in result} != {}
    assert state["next"] == []


def test_a_late_client_sees_what_a_live_one_saw(client: Client) -> None:
    run = client.create("tokens", {"count": 50, "interval": 0.005})
    live: list[dict[str, Any]] = []
    watching = threading.Thread(target=lambda: live.extend(client.frames(run["id"])))
    watching.start()
    client.wait(run["id"])
    watching.join(30)
    late = client.frames(run["id"])
    assert late == live
    assert late == client.events(run["id"])
    assert [frame["data"]["i"] for frame in late if frame["event"] == "custom"] == list(range(50))
    assert client.frames(run["id"], after=10) == late[10:]


def story(events: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What happened, without ids, times and the marks of attempts."""
    told = []
    for event in events:
        if event["event"] not in ("started", "recovered"):
            data = event.get("data") if event["event"] == "node_update" else None
            told.append((event["event"], event.get("node"), event.get("step"), data))
    return told


def begin(client: Client, steps: int = STEPS) -> str:
    """A `steps` run that has done some of its steps."""
    run_id: str = client.create("steps", {"steps": steps, "seconds": SECONDS})["id"]
    wait_until("some steps are done", lambda: client.run(run_id)["step"] >= 3)
    return run_id


def assert_as_if_nothing_happened(client: Client, run_id: str) -> None:
    whole = client.create("steps", {"steps": STEPS, "seconds": 0})["id"]
    assert client.wait(run_id)["status"] == "completed"
    client.wait(whole)
    mine = json.loads(client.artifacts(run_id)["result.json"])
    with promise("a run that was disturbed leaves what another leaves"):
        assert story(client.events(run_id)) == story(client.events(whole))
        assert mine["done"] == list(range(1, STEPS + 1))


def named(server: Server, name: str) -> list[int]:
    """The processes of the server that call themselves `name`."""
    found = []
    for pid in server.processes():
        try:
            with open(f"/proc/{pid}/comm") as comm:
                if comm.read().strip() == name:
                    found.append(pid)
        except FileNotFoundError:
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes by their names in /proc")
@pytest.mark.parametrize("name", ["fg:worker", "fg:pusher", "fg:monitor", "fg:sentinel", "fg:web"])
def test_a_run_outlives_every_process(own_server: Server, name: str) -> None:
    with Client(own_server.url) as client:
        run_id = begin(client)
        for pid in named(own_server, name):
            os.kill(pid, signal.SIGKILL)
        wait_until("the server answers", lambda: answers(client))
        assert_as_if_nothing_happened(client, run_id)


def answers(client: Client) -> bool:
    try:
        return client.http.get("/api/health").is_success
    except Exception:
        return False


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_goes_on_after_a_restart(own_server: Server, how: signal.Signals) -> None:
    with Client(own_server.url) as client:
        run_id = begin(client)
    own_server.stop(how)
    wait_until("no process is left", lambda: not own_server.processes())
    own_server.start()
    with Client(own_server.url) as client:
        assert_as_if_nothing_happened(client, run_id)
