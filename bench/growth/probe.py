"""The process that measures: reads `fill` and `measure` from its input, answers with JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable

import django

django.setup()  # before anything that has models

from django.utils import timezone  # noqa: E402

from artifacts.store import store  # noqa: E402
from bench.growth.fill import copy  # noqa: E402
from runs.engine.ids import uuid7  # noqa: E402
from runs.models import Run  # noqa: E402
from runs.operations.create import create_run  # noqa: E402
from runs.operations.new_run import NewRun  # noqa: E402
from runs.scheduling import (  # noqa: E402
    claims,
    recovery,
)
from runs.worker.worker import Worker  # noqa: E402

_EACH = 10
_STEPS = 100


def fill(finished: int) -> dict[str, list[float]]:
    template = create_run(NewRun(workflow="steps", payload={"steps": 1, "seconds": 0}))
    _work()
    template.refresh_from_db()
    assert template.status == "completed", template.error
    copy(template, finished)
    measure()  # what is read for the first time counts for nobody
    return {}


def measure() -> dict[str, list[float]]:
    """Microseconds: each of ten creations, claims of ten, sweeps; a step of a run of 100."""
    order = NewRun(workflow="steps", payload={"steps": _STEPS, "seconds": 0})
    created, claimed = [], []
    for _ in range(_EACH):
        created.append(_took(lambda: create_run(order)))
        for _ in range(_EACH - 1):
            create_run(order)
        claimed.append(_took(lambda: claims.claim(uuid7(), _EACH)))
    swept = [_took(lambda: recovery.sweep(timezone.now())) for _ in range(_EACH)]
    Run.objects.filter(status__in=("running", "pending")).delete()
    run = create_run(order)
    _work()
    run.refresh_from_db()
    assert run.status == "completed" and run.duration is not None, run.error
    return {
        "create a run": created,
        "claim 10 runs": claimed,
        "sweep": swept,
        "commit a step": [run.duration.total_seconds() * 1e6 / _STEPS],
    }


def _work() -> None:
    asyncio.run(Worker(store()).drain())


def _took(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return (time.perf_counter() - began) * 1e6


def main(finished: int) -> None:
    for line in sys.stdin:
        answer = fill(finished) if line.strip() == "fill" else measure()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
