"""The storm: runs are ordered at a steady rate, and every few seconds something is done to the
processes that execute them."""

from __future__ import annotations

import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar
from uuid import UUID

from django.core.management.base import CommandError
from django.utils import timezone

from fastgraph_site.chaos import victims
from fastgraph_site.chaos.account import Blow, unfinished
from fastgraph_site.chaos.client import Server
from fastgraph_site.chaos.orders import ORDERS
from fastgraph_site.chaos.victims import Victim
from runs.db.retry import Outage
from runs.models import Run, RunStatus

T = TypeVar("T")

_TRY_SECONDS = 0.2
#: An order that is not taken for so long is no matter of patience any more.
_TAKEN_SECONDS = 60.0
_RESTART_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Weather:
    """How hard it blows: a blow about every `every` seconds, `rate` runs a second, frozen for
    `freeze` seconds at most. `restarts` are commands by what they restart."""

    every: float
    rate: float
    freeze: float
    restarts: Mapping[str, Sequence[str]]


class Storm:
    """One storm. The same seed gives the same orders and the same kinds of blows; when they hit,
    and whom, depends on the machine."""

    def __init__(
        self, server: Server, weather: Weather, seed: int, say: Callable[[str], object]
    ) -> None:
        self._server = server
        self._weather = weather
        self._say = say
        self._orders = Random(f"{seed} orders")  # noqa: S311
        self._fate = Random(f"{seed} blows")  # noqa: S311
        self._key = f"chaos-{uuid.uuid4().hex[:12]}"
        self._waiting: int | None = None
        self._waiting_since = 0.0
        self._bag: list[str] = []
        self._frozen: list[tuple[float, Victim]] = []
        self.created: dict[UUID, int] = {}
        self.blows: list[Blow] = []

    def run(self, seconds: float) -> None:
        """Let it blow. At the end nothing is frozen, and no order is open."""
        end = time.monotonic() + seconds
        order_at = time.monotonic()
        blow_at = order_at + self._pause()
        try:
            while (now := time.monotonic()) < end:
                self._thaw(now)
                if now >= order_at:
                    order_at = now + (1 / self._weather.rate if self.order() else _TRY_SECONDS)
                if now >= blow_at:
                    self._blow()
                    blow_at = time.monotonic() + self._pause()
                time.sleep(max(0.0, min(order_at, blow_at, end) - time.monotonic()))
        finally:
            self._thaw(None)
        while self._waiting is not None and not self.order():
            time.sleep(_TRY_SECONDS)

    def order(self, which: int | None = None) -> bool:
        """Order a run, again under the same key until it is accepted: an answer that got lost must
        not make two of one. False when it has to be tried again."""
        if self._waiting is None:
            self._waiting = self._orders.randrange(len(ORDERS)) if which is None else which
            self._waiting_since = time.monotonic()
        order = ORDERS[self._waiting]
        body = {
            "name": "Chaos",
            "workflow": order.workflow,
            "payload": order.payload,
            "tags": ["chaos"],
        }
        key = {"Idempotency-Key": f"{self._key}-{len(self.created)}"}
        try:
            run = self._server.ask("POST", "/api/runs/", body, (200, 201), key)
        except CommandError:
            if time.monotonic() > self._waiting_since + _TAKEN_SECONDS:
                raise
            return False
        self.created[UUID(run["id"])] = self._waiting
        self._waiting = None
        return True

    def settle(self, patience: float) -> bool:
        """Wait until every run has ended, as long as some do: False when none has for `patience`
        seconds. A machine that is slow is no loss."""
        least, until = len(self.created) + 1, 0.0
        while (left := _read(lambda: unfinished(self.created))) != 0:
            if left is not None and left < least:
                least, until = left, time.monotonic() + patience
            elif time.monotonic() > until:
                self._say(f"{left} runs are not finished, and none was within {patience:.0f} s.")
                return False
            time.sleep(_TRY_SECONDS)
        return True

    def _pause(self) -> float:
        return self._weather.every * self._fate.uniform(0.5, 1.5)

    def _blow(self) -> None:
        if not self._bag:  # each kind comes, in any order, before one of them comes again
            self._bag = ["kill", "kill", "freeze", *self._weather.restarts]
            self._fate.shuffle(self._bag)
        kind = self._bag.pop()
        if kind in self._weather.restarts:
            self._restart(kind)
        else:
            self._hit(kind)

    def _hit(self, kind: str) -> None:
        frozen = {victim.pid for _, victim in self._frozen}
        found = [one for one in _read(victims.find) or [] if one.pid not in frozen]
        if not found:
            self._say(f"{kind}: nobody executes anything that is not frozen already")
            return
        busy = [victim for victim in found if victim.busy] or found
        victim = self._fate.choice(busy)
        held = _read(victim.held) or []
        if not victim.send(signal.SIGKILL if kind == "kill" else signal.SIGSTOP):
            return
        self.blows.append(Blow(kind=kind, at=timezone.now(), hit=held))
        told = f"{kind}: worker {victim.pid} with {len(held)} runs"
        if kind == "freeze":
            seconds = self._fate.uniform(0.1, self._weather.freeze)
            self._frozen.append((time.monotonic() + seconds, victim))
            told += f", for {seconds:.1f} s"
        self._say(told)

    def _thaw(self, now: float | None) -> None:
        """Let those go on whose time has come; all, without a time."""
        for until, victim in self._frozen:
            if now is None or until <= now:
                victim.send(signal.SIGCONT)
        self._frozen = [(u, v) for u, v in self._frozen if now is not None and u > now]

    def _restart(self, kind: str) -> None:
        command = self._weather.restarts[kind]
        running = Run.objects.filter(status=RunStatus.RUNNING).values_list("id", flat=True)
        hit = _read(lambda: list(running)) or []
        began = time.monotonic()
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_RESTART_SECONDS, check=False
        )
        # From when it is back: until then nobody can go on.
        self.blows.append(Blow(kind=kind, at=timezone.now(), hit=hit))
        took = f"{time.monotonic() - began:.1f} s"
        failed = f"; FAILED ({done.returncode}): {done.stderr.strip()[-200:]}"
        self._say(f"{kind}: {len(hit)} runs, {took}{failed if done.returncode else ''}")


def _read(query: Callable[[], T]) -> T | None:
    """What the database says; None while it cannot be asked. The second try is for a connection
    that broke with a restart."""
    outage = Outage("the storm", log=lambda line: None)
    for _ in range(2):
        if (answer := outage.unless_away(query, None)) is not None:
            return answer
    return None
