"""`deadly`: a node that kills its process. `patient`: one that waits for a file."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import TypedDict

from runs.engine import START, StateGraph
from runs.workflows import register


class State(TypedDict, total=False):
    path: str
    done: bool


async def kill(state: State) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def wait(state: State) -> State:
    while not Path(state["path"]).exists():
        await asyncio.sleep(0.02)
    return {"done": True}


deadly = StateGraph(State).add_node("kill", kill).add_edge(START, "kill")
register("deadly", deadly.compile(), input_schema={"type": "object"})
patient = StateGraph(State).add_node("wait", wait).add_edge(START, "wait")
register("patient", patient.compile(), input_schema={"type": "object"})
