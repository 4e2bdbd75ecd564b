"""DBOS as its documentation shows it: plain functions, behind FastAPI, waited for on the live
handle. `python -m bench.rivals.dbos_fastapi_app PORT URL`."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import uvicorn
from dbos import DBOS
from fastapi import Body, FastAPI

from bench.rivals.asking import STEPS, line

Number = Annotated[int, Body()]

app = FastAPI()
begun: list[Any] = []


@DBOS.step()
def count(number: int) -> int:
    return number + 1


@DBOS.workflow()
def counting(steps: int) -> int:
    number = 0
    for _ in range(steps):
        number = count(number)
    return number


@DBOS.step()
def nap(seconds: float) -> None:
    time.sleep(seconds)


@DBOS.workflow()
def napping(steps: int, seconds: float) -> None:
    for _ in range(steps):
        nap(seconds)


@DBOS.step()
def add_line(lines: list[str]) -> list[str]:
    return [*lines, line()]


@DBOS.workflow()
def appending(lines: int, steps: int) -> int:
    state = [line() for _ in range(lines)]
    for _ in range(steps):
        state = add_line(state)
    return len(state)


@app.post("/ready")
def ready() -> None:
    """Answered when DBOS is launched, too: `launch` comes before the server."""


@app.post("/chain")
def chain() -> None:
    assert DBOS.start_workflow(counting, STEPS).get_result() == STEPS


@app.post("/start")
def start() -> None:
    begun.append(DBOS.start_workflow(counting, STEPS))


@app.post("/join")
def join() -> None:
    for handle in begun:
        handle.get_result()


@app.post("/long")
def long(steps: Annotated[int, Body(embed=True)]) -> None:
    assert DBOS.start_workflow(counting, steps).get_result() == steps


@app.post("/sleepers")
def sleepers(runs: Number, steps: Number, seconds: Annotated[float, Body()]) -> None:
    handles = [DBOS.start_workflow(napping, steps, seconds) for _ in range(runs)]
    for handle in handles:
        handle.get_result()


@app.post("/append")
def append(lines: Number, steps: Number) -> None:
    assert DBOS.start_workflow(appending, lines, steps).get_result() == lines + steps


if __name__ == "__main__":
    DBOS(config={"name": "bench", "system_database_url": sys.argv[2], "log_level": "ERROR"})
    DBOS.launch()
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
