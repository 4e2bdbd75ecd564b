"""A process that dies where a test wants it to: `FASTGRAPH_FAULT`."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Literal

from runs.conf import conf
from runs.engine import faults

#: The exit code of such a death.
CODE = 86
#: Stands for the step of what a run does outside its supersteps.
OUTSIDE = "-"


def arm(fault: str) -> None:
    """Let this process die, without any farewell, at a fault point: `POINT[:STEP[:RUN]]`.

    `after_commit:3` is where any run comes to `after_commit` at its step 3, `after_finish:-` is
    outside the supersteps; without a step it is the first time that the point is reached. Once an
    installation, not once a process: a file in the data folder remembers.

    Raises ValueError for what cannot be read."""
    name, _, place = fault.partition(":")
    step, _, run_id = place.partition(":")

    def die() -> None:
        with suppress(FileExistsError), open(conf().data_dir / f"died-{name}", "x"):
            os._exit(CODE)

    faults.arm(name, die, run_id=run_id or None, step=_step(step))


def _step(text: str) -> int | Literal["any"] | None:
    if not text:
        return "any"
    return None if text == OUTSIDE else int(text)
