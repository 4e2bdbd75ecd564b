"""A node that takes its time, in a worker whose threads fail: FAULTY says which thread of it, with
what, and how many times; the first worker process that gets there has the fault."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any, TypedDict

from django.db import InterfaceError

from runs.conf import conf
from runs.engine import START, StateGraph
from runs.scheduling import leases
from runs.worker import worker
from runs.workflows import register

_THREADS = {"heartbeat": (leases, "renew"), "changes": (worker, "listen")}
_ERRORS = {"InterfaceError": InterfaceError, "RuntimeError": RuntimeError}


class State(TypedDict, total=False):
    seconds: float


async def waits(state: State) -> None:
    await asyncio.sleep(state["seconds"])


def _is_the_faulty_one() -> bool:
    """Whether this process has the fault: at most one ever has it."""
    mark = conf().data_dir / "faulty"
    try:
        mark.open("x").write(str(os.getpid()))
    except FileExistsError:
        return mark.read_text() == str(os.getpid())
    return True


def _failing(function: Callable[..., Any], error: type[Exception], times: int) -> Any:
    left = [times]

    def fail(*args: Any, **kwargs: Any) -> Any:
        if left[0] and _is_the_faulty_one():
            left[0] -= 1
            raise error("as the test wants it")
        return function(*args, **kwargs)

    return fail


def install() -> None:
    thread, error, times = os.environ["FAULTY"].split()
    module, name = _THREADS[thread]
    setattr(module, name, _failing(getattr(module, name), _ERRORS[error], int(times)))


graph = StateGraph(State).add_node("waits", waits).add_edge(START, "waits")
register("waits", graph.compile(), input_schema={"type": "object"})
install()
