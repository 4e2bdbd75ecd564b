"""Lets the runs of a dump go on under today's version, and looks at what comes of them."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from tests.upgrades.restore import restore

CHAIN = ["given", "begin by {}", "work by {}", "end"]


def answer(question: Any) -> str:
    return f"answer to {question if isinstance(question, str) else json.dumps(question)}"


SURE, AFTER, AGAIN = map(answer, ("sure?", "after a step?", "and again?"))
ONE, TWO, OWN = answer({"n": 1}), answer({"n": 2}), answer("own?")
SAID = "said before"
#: What the runs come to, by their names; a workflow written as a function has a result.
LOGS: dict[str, list[Any]] = {
    "completed": [line.format("old") for line in CHAIN],
    "pending": [line.format("new") for line in CHAIN],
    "running": ["given", "begin by old", "hung", "end"],
    "sleeping": ["given", "begin by old", "before by old", "slept", "end"],
    "stopping waits": ["given", "begin by old", "end"],
    "asking waits": ["given", "begin by old", SURE, "end"],
    "asking paused": ["given", "begin by old", SURE, "end"],
    "asking answered": ["given", "begin by old", SAID, "end"],
    "asking_at_once waits": ["given", SURE, [ONE, TWO], "work by old", "end"],
    "asking_at_once answered": ["given", SAID, [ONE, TWO], "work by old", "end"],
    "asking_after_steps waits": ["given", "first by old", AFTER, AGAIN, "second by new", "end"],
    "asking_after_steps answered": ["given", "first by old", SAID, AGAIN, "second by new", "end"],
    "asking_inside waits": [*["given", "begin by old"] * 2, "work by old", SURE, "end"],
    "sending waits": ["given", f"a={answer('a')}", f"b={answer('b')}", "end"],
    "asking_in_tasks waits": ["noted by old", f"a={answer('a')}", f"b={answer('b')}", OWN],
}


class Play:
    """The clients and the worker of an installation, in this process."""

    def __init__(self) -> None:
        from django.test.client import Client

        self._client = Client(headers={"host": "localhost"})

    def get(self, path: str) -> Any:
        found = self._client.get(path)
        assert found.status_code == 200, f"GET {path}: {found.status_code} {found.content!r}"
        return json.loads(b"".join(found)) if found["content-type"][-4:] == "json" else None

    def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        said = "" if body is None else json.dumps(body)
        answer = self._client.post(path, said, content_type="application/json")
        assert answer.status_code == status, f"POST {path}: {answer.content!r}"
        return answer.json()

    def work(self) -> None:
        """Bring back what lost its worker, wake what is due, and execute all that is pending."""
        from django.utils import timezone

        from artifacts.store import store
        from runs.scheduling.recovery import sweep
        from runs.worker.worker import Worker

        sweep(timezone.now())
        asyncio.run(Worker(store()).drain())

    def runs(self) -> dict[str, dict[str, Any]]:
        """By name; of those that share one, the first."""
        listed = self.get("/api/runs/?page_size=100")["results"]
        return {run["name"]: run for run in listed}

    def check(self) -> None:
        """Let every run come to its end, and look at it."""
        runs = self.runs()
        assert {"completed", "failed", "pending", "running", "talked again"} <= runs.keys()
        if "asking paused" in runs:
            self.unpause(runs["asking paused"]["id"])
        self.work()
        self.answer([run["id"] for name, run in runs.items() if name != "cancelled"])
        for name, run in runs.items():
            self.read(name, run["id"])
        made = [
            self.post(f"/api/runs/{runs[name]['id']}/replay", body, 201)["id"]
            for name in ("completed", "talked again")
            for body in ({}, {"from_step": 2})
        ]
        self.work()
        assert {self.get(f"/api/runs/{run_id}")["status"] for run_id in made} == {"completed"}

    def unpause(self, run_id: str) -> None:
        if self.get(f"/api/runs/{run_id}")["pause"] is not None:
            self.post(f"/api/runs/{run_id}/unpause")

    def answer(self, run_ids: list[str]) -> None:
        """Answer one question of each run that waits, the newest first, until none waits."""
        given: set[str] = set()
        while waiting := [one for one in run_ids if self.status(one) == "interrupted"]:
            for run_id in waiting:
                asked = self.questions(run_id)
                assert not asked.keys() & given, f"asked once more: {asked}"
                *_, (key, one) = asked.items()
                said = {} if one is None else {"resume": {key: answer(one)}}
                self.post(f"/api/runs/{run_id}/resume", said)
                given.add(key)
            self.work()

    def status(self, run_id: str) -> str:
        return str(self.get(f"/api/runs/{run_id}")["status"])

    def events(self, run_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(f"/api/runs/{run_id}/events?limit=1000")["results"]
        return found

    def questions(self, run_id: str) -> dict[str, Any]:
        """What the run asks and nobody has answered, by id, as its newest event says."""
        said = [one for one in self.events(run_id) if one["event"] == "interrupted"]
        return {one["id"]: one["value"] for one in said[-1]["data"]["interrupts"]}

    def read(self, name: str, run_id: str) -> None:
        """Whatever a client may read of a run that is over."""
        events = self.events(run_id)
        assert [one["seq"] for one in events] == list(range(1, len(events) + 1)), name
        for step in self.get(f"/api/runs/{run_id}/checkpoints")["results"]:
            assert self.get(f"/api/runs/{run_id}/state?checkpoint={step['id']}")["values"], name
        for artifact in self.get(f"/api/artifacts/?run={run_id}")["results"]:
            self.get(f"/api/artifacts/{artifact['id']}")
        self.get(f"/api/runs/{run_id}/why")
        values = self.get(f"/api/runs/{run_id}/state")["values"]
        log = values.get("result", values.get("log"))
        # A version that could take no answer left the question open.
        unsaid = LOGS.get(name.replace(" answered", " waits"), log)
        assert log in (LOGS.get(name, log), unsaid), f"{name}: {log}"


if __name__ == "__main__":
    import django

    django.setup()
    restore(*sys.argv[1:])
    Play().check()
