"""`manage.py chaos`: kill, freeze and restart what executes runs, and count what became of them."""

from __future__ import annotations

import ipaddress
import os
import shlex
import sys
import time
from collections import Counter
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from fastgraph_site.chaos import victims
from fastgraph_site.chaos.account import Account, draw_up
from fastgraph_site.chaos.client import Server
from fastgraph_site.chaos.orders import ORDERS
from fastgraph_site.chaos.storm import Storm, Weather
from runs.conf import conf
from runs.management import database
from runs.models import Run

#: A run that nothing happens to takes a few seconds.
_REFERENCE_SECONDS = 60.0
_LISTED = 5


class Command(BaseCommand):
    help = (
        "Create runs on a running deployment while its worker processes on this host are killed "
        "and frozen at random, and count what became of every run. The exit code is 1 when "
        "anything is lost, done twice or otherwise than without chaos. For deployments that "
        "nobody needs at the moment."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--minutes", type=float, default=1.0)
        parser.add_argument("--url", default=f"http://{settings.HOST}:{settings.PORT}")
        parser.add_argument("--seed", type=int, help="repeat the choices of an earlier storm")
        parser.add_argument("--rate", type=float, default=5.0, help="runs a second")
        parser.add_argument("--every", type=float, default=5.0, help="seconds between two blows")
        parser.add_argument("--freeze", type=float, help="seconds at most; default: two leases")
        parser.add_argument(
            "--patience", type=float, default=120.0, help="seconds in which no run ends"
        )
        parser.add_argument("--redis-restart", metavar="CMD", help="how Redis is restarted")
        parser.add_argument("--database-restart", metavar="CMD", help="and the database")
        parser.add_argument("--remote", action="store_true", help="also beyond loopback")
        parser.add_argument("--foreign", action="store_true", help="also other users' processes")
        parser.add_argument("--beside", action="store_true", help="also beside other people's runs")

    def handle(self, *args: Any, **options: Any) -> None:
        weather = _weather(options)
        seconds = _positive("--minutes", options["minutes"]) * 60
        seed = options["seed"] if options["seed"] is not None else int.from_bytes(os.urandom(4))
        database.require_migrated()
        _require_leave(options)
        server = Server(options["url"], timeout=10.0)
        self._say(f"seed {seed}; {seconds:.0f} s at {weather.rate:g} runs/s")
        references = self._references(server, options)
        storm = Storm(server, weather, seed, self._say)
        began = time.monotonic()
        storm.run(seconds)
        storm.settle(options["patience"])
        self._say(f"settled after {time.monotonic() - began - seconds:.1f} s")
        account = draw_up(storm.created, references, storm.blows)
        self._tell(account, Counter(blow.kind for blow in storm.blows))
        if not account.sound:
            sys.exit(1)

    def _references(self, server: Server, options: dict[str, Any]) -> dict[int, UUID]:
        """A run of each order that nothing happens to; that they are found in the database shows
        that it is the server's."""
        calm = Storm(server, _weather(options), 0, self._say)
        for number in range(len(ORDERS)):
            if not calm.order(number):
                server.ask("GET", "/api/health")  # says what is wrong
                raise CommandError("The server takes no runs; its log says why.")
        if not Run.objects.filter(pk__in=calm.created).exists():
            raise CommandError(
                f"{server.url} works on another database than this command. Give both the same "
                "DATABASE_URL and FASTGRAPH_DATA_DIR."
            )
        if not calm.settle(_REFERENCE_SECONDS):
            raise CommandError("Runs do not even end in calm weather; is a worker running?")
        _require_own_processes(options)
        return {number: run_id for run_id, number in calm.created.items()}

    def _tell(self, account: Account, blows: Counter[str]) -> None:
        slowest = account.slowest
        what = ", ".join(f"{count} {kind}" for kind, count in sorted(blows.items()))
        self.stdout.write(f"blows                    {what or 'none'}")
        self.stdout.write(f"created                  {account.created}")
        self.stdout.write(f"finished                 {account.finished}")
        self._count("lost", account.lost)
        self._count("steps committed twice", account.doubled)
        self._count("logs with holes", account.holes)
        self._count("failed", account.not_completed)
        self._count("given up, hit too often", account.given_up)
        self._count("other than without chaos", account.different)
        self.stdout.write(f"rows left over           {account.leftovers}")
        self.stdout.write(f"most attempts of a run   {account.attempts}")
        if slowest is not None:
            told = f"{slowest.seconds:.1f} s after {slowest.kind}, run {slowest.run_id}"
            self.stdout.write(f"slowest recovery         {told}")

    def _count(self, what: str, found: list[Any]) -> None:
        some = ", ".join(map(str, found[:_LISTED]))
        self.stdout.write(f"{what:<24} {len(found)}{f': {some}' if some else ''}")

    def _say(self, what: str) -> None:
        self.stdout.write(f"{time.strftime('%H:%M:%S')} {what}")
        self.stdout.flush()


def _weather(options: dict[str, Any]) -> Weather:
    commands = {name: options[f"{name}_restart"] for name in ("redis", "database")}
    freeze = options["freeze"]
    return Weather(
        every=_positive("--every", options["every"]),
        rate=_positive("--rate", options["rate"]),
        freeze=_positive("--freeze", freeze) if freeze is not None else 2 * conf().lease_seconds,
        restarts={
            f"{name} restart": shlex.split(command) for name, command in commands.items() if command
        },
    )


def _positive(name: str, value: float) -> float:
    if not 0 < value < float("inf"):
        raise CommandError(f"{name} must be a number above 0.")
    return value


def _require_leave(options: dict[str, Any]) -> None:
    host = urlsplit(options["url"]).hostname or ""
    if not options["remote"] and not _is_loopback(host):
        raise CommandError(
            f"{host!r} is not this machine, and what runs there may be somebody's. --remote does it"
            " all the same; processes are killed on this host only."
        )
    others = victims.unfinished_runs()
    if others and not options["beside"]:
        raise CommandError(
            f"{others} runs are not finished, and every blow may cost them an attempt. Wait for"
            " them, or say --beside."
        )


def _require_own_processes(options: dict[str, Any]) -> None:
    found = victims.find()
    if not found:
        raise CommandError(
            "No worker process of this deployment runs on this host: there is nothing to kill."
        )
    foreign = [victim.pid for victim in found if victim.owner() not in (os.geteuid(), None)]
    if foreign and not options["foreign"]:
        raise CommandError(
            f"Worker {foreign[0]} is another user's process. --foreign does it all the same."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
