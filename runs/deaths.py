"""A process that dies where a test wants it to: `FASTGRAPH_FAULT`."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

from runs.conf import conf
from runs.engine import faults

#: The exit code of such a death.
CODE = 86


def arm(fault: str) -> None:
    """Let this process die, without any farewell, where it comes to a fault point for the nth time:
    `after_commit:3`. Once an installation, not once a process: a file in the data folder remembers.
    ValueError for what cannot be read."""
    name, _, count = fault.partition(":")
    left = int(count or 1)
    lock = threading.Lock()

    def die() -> None:
        nonlocal left
        with lock:
            left -= 1
            if left == 0:
                with suppress(FileExistsError), open(conf().data_dir / f"died-{name}", "x"):
                    os._exit(CODE)

    faults.arm(name, die)
