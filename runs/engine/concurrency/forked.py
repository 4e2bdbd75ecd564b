"""A process that a node forks is a copy of its worker, but must never go on as one."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections import deque
from contextlib import suppress
from typing import Any

_log = logging.getLogger("fastgraph.run")

#: Grows by one in a process that a node forks. A call of a node remembers it, and looks whether it
#: returns in the process that it began in. A plain number, since every call does so.
generation = 0


def become_child(loop: asyncio.AbstractEventLoop | None) -> None:
    """Mark this process as forked by a node. `loop` is the event loop that runs in the forking
    thread, if one does: in this process it runs nothing any more."""
    global generation
    generation += 1
    ready = getattr(loop, "_ready", None)
    if loop is not None and isinstance(ready, deque):
        # Before everything that is ready already: those are other runs, which the worker executes.
        ready.appendleft(asyncio.Handle(leave, (), loop))


def leave(error: BaseException | None = None) -> None:
    """End this process, which returned from the node that forked it. Exit handlers belong to the
    worker and do not run. The exit code is that of `sys.exit` if this is what `error` comes
    from."""
    error = getattr(error, "__cause__", None) or error  # what the node raised
    code: Any = 0 if error is None else 1
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    else:
        _log.warning(
            "Process %s was forked by a node and returned from it: it ends here, because its"
            " worker executes the run. End such a process with os._exit().",
            os.getpid(),
            exc_info=error,
        )
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code & 0xFF)
