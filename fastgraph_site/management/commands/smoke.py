"""`manage.py smoke`: carry one run all the way through a server, over HTTP alone."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from fastgraph_site.chaos.client import Server
from runs.engine import events

TEXT = (
    "The quick brown fox jumps over the lazy dog. The lazy dog sleeps on. "
    "A quick brown fox is a rare sight; a lazy dog is not."
)
LOOK_SECONDS = 0.1


class Command(BaseCommand):
    help = (
        "Create a text_report run on a running server, follow it to its artifacts, download and "
        "check them, and print each answer. The first thing to try on a new installation."
    )
    requires_system_checks = []  # it speaks to another process, whose checks these are not

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--url", default=f"http://{settings.HOST}:{settings.PORT}")
        parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS")

    def handle(self, *args: Any, **options: Any) -> None:
        server = Server(options["url"], options["timeout"])
        health = server.ask("GET", "/api/health", accept=(200, 503))
        self._show("GET /api/health", health)
        if health.get("status") == "down":
            raise CommandError(f"{server.url} is not healthy: {health.get('checks')}")
        asked = {"name": "Smoke test", "workflow": "text_report", "payload": {"input": TEXT}}
        run = server.ask("POST", "/api/runs/", asked, accept=(201,))
        self._show("POST /api/runs/", {key: run[key] for key in ("run_id", "workflow", "status")})
        last = self._follow(server, run["run_id"], options["timeout"])
        if last != events.COMPLETED:
            raise CommandError(f"The run {last}; its error is in the last event above.")
        self._download(server, run["run_id"])
        self.stdout.write(self.style.SUCCESS("All of it works."))

    def _follow(self, server: Server, run_id: str, timeout: float) -> str:
        """Print the run's events as they come; the name of its last one."""
        seen, until = 0, time.monotonic() + timeout
        while True:
            page = server.ask("GET", f"/api/runs/{run_id}/events?after={seen}&limit=100")
            for event in page["results"]:
                seen = event["seq"]
                self._show(f"event {seen:>2} {event['event']}", event.get("data"))
                if event["event"] in events.TERMINAL:
                    return str(event["event"])
            if time.monotonic() > until:
                raise CommandError(_why_unfinished(server, run_id, seen, timeout))
            if not page["results"]:
                time.sleep(LOOK_SECONDS)

    def _download(self, server: Server, run_id: str) -> None:
        artifacts = server.ask("GET", f"/api/artifacts/?run={run_id}")["results"]
        names = sorted(artifact["name"] for artifact in artifacts)
        self._show("GET /api/artifacts/", names)
        if names != ["report.md", "result.json"]:
            raise CommandError("report.md and result.json were expected.")
        for artifact in artifacts:
            body = server.download(artifact["url"])
            found = hashlib.sha256(body).hexdigest()
            if found != artifact["sha256"] or len(body) != artifact["size"]:
                raise CommandError(
                    f"{artifact['name']} is not what was stored: SHA-256 {found} and "
                    f"{len(body)} bytes instead of {artifact['sha256']} and {artifact['size']}."
                )
            self._show(f"GET {artifact['url']}", f"{len(body)} bytes, SHA-256 as stored")
            if artifact["name"] == "report.md":
                self.stdout.write("\n" + body.decode() + "\n")

    def _show(self, what: str, answer: Any) -> None:
        text = json.dumps(answer, ensure_ascii=False)
        self.stdout.write(f"{what}: {text if len(text) <= 160 else text[:159] + '…'}")
        self.stdout.flush()


def _why_unfinished(server: Server, run_id: str, seen: int, timeout: float) -> str:
    workers = server.ask("GET", "/api/workers/")["results"]
    if not any(worker["alive"] for worker in workers):
        return (
            f"Run {run_id} waits: no worker is running. Start one with `manage.py workers`, or "
            "start the server without --no-workers."
        )
    return f"Run {run_id} did not finish within {timeout:g} s; its last event is number {seen}."
