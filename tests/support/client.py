"""A client of the server's outside: HTTP and WebSocket, as any other program would speak it."""

from __future__ import annotations

import json
from typing import Any, Self

import httpx
from websockets.sync.client import connect

from tests.support.processes import wait_until

NORMAL = 1000
TERMINAL = ("completed", "failed", "cancelled")


class Client:
    """Speaks to one server. Every answer is asserted to be a success."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=30)

    def get(self, path: str) -> Any:
        """The JSON at `path`."""
        answer = self.http.get(path)
        assert answer.is_success, f"GET {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def create(
        self, workflow: str = "text_report", payload: Any = None, **more: Any
    ) -> dict[str, Any]:
        """Starts a run and returns it."""
        body = {"name": "A test", "workflow": workflow, "payload": payload or {}, **more}
        answer = self.http.post("/api/runs/", json=body)
        assert answer.status_code == 201, f"POST /api/runs/: {answer.status_code} {answer.text}"
        run: dict[str, Any] = answer.json()
        return run

    def run(self, run_id: str) -> dict[str, Any]:
        """The run as it is now."""
        run: dict[str, Any] = self.get(f"/api/runs/{run_id}")
        return run

    def wait(self, run_id: str, seconds: float = 60.0) -> dict[str, Any]:
        """The run when it has ended."""
        wait_until(
            f"run {run_id} has ended", lambda: self.run(run_id)["status"] in TERMINAL, seconds
        )
        return self.run(run_id)

    def events(self, run_id: str) -> list[dict[str, Any]]:
        """All events of the run so far, over REST."""
        found: list[dict[str, Any]] = []
        more = True
        while more:
            page = self.get(f"/api/runs/{run_id}/events?after={len(found)}&limit=100")
            found += page["results"]
            more = page["more"]
        return found

    def frames(self, run_id: str, after: int = 0) -> list[dict[str, Any]]:
        """All events of the run over a WebSocket, until the server closes it normally."""
        found: list[dict[str, Any]] = []
        address = f"{self.url.replace('http', 'ws', 1)}/api/ws/{run_id}?after={after}"
        with connect(address) as socket:
            assert json.loads(socket.recv()) == {"event": "ready", "protocol": 1}
            # Ends at a normal close; any other raises.
            found.extend(json.loads(frame) for frame in socket)
        assert socket.close_code == NORMAL, f"closed with {socket.close_code}"
        return found

    def artifacts(self, run_id: str) -> dict[str, bytes]:
        """The artifacts of the run, name → bytes."""
        found = {}
        for row in self.get(f"/api/artifacts/?run={run_id}")["results"]:
            answer = self.http.get(f"/api/artifacts/{row['id']}")
            assert answer.is_success, answer.text
            found[row["name"]] = answer.content
        return found

    def close_connections(self) -> None:
        """Let go of the connections that are kept for further requests."""
        self.http.close()
        self.http = httpx.Client(base_url=self.url, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
