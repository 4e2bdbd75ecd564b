"""The processes below a process: finding them, and ending them with all that they started.

A process in a session of its own (`start_new_session=True`, setsid, a daemon) was meant to go its
own way: it counts as nobody's, and is left alone.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger("fastgraph.processes")

_LINUX = sys.platform.startswith("linux")
#: Between SIGTERM and SIGKILL. Seconds.
GRACE_SECONDS = 2.0
_LOOK_SECONDS = 0.02
#: How often the tree is read again for what was started meanwhile.
_MOST_ROUNDS = 20


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process as it was found. `started` tells it from a later one with the same pid."""

    pid: int
    parent: int
    session: int
    started: str
    zombie: bool


def find(pid: int) -> Process | None:
    """The process `pid`; None when there is none."""
    return _from_proc(pid) if _LINUX else next((p for p in _from_ps() if p.pid == pid), None)


def end(processes: Iterable[Process], grace: float = GRACE_SECONDS) -> None:
    """End these processes and everything below them: SIGTERM, and SIGKILL for what is left after
    `grace` seconds. Returns when they have ended, or could not be ended within a second more."""
    found = _trees(processes)
    if found and grace > 0:
        _log.info("Ending processes that a node has started: %s", sorted(p.pid for p in found))
        _send(found, signal.SIGTERM)
        _wait_for(found, grace)
    for _ in range(_MOST_ROUNDS):
        found = _trees(_alive(found))
        if not found:
            return
        _send(found, signal.SIGKILL)
        _wait_for(found, 1.0 / _MOST_ROUNDS)


def end_soon(processes: Sequence[Process]) -> None:
    """`end` in a thread of its own."""
    threading.Thread(target=end, args=(processes,), name="end-processes", daemon=True).start()


def end_below(pid: int, grace: float = GRACE_SECONDS) -> None:
    """End everything below the process `pid`, and not itself."""
    end(children(pid), grace)


def end_orphans(known: Collection[int]) -> int:
    """Kill what has come to this process because its parent died, with all that is below it.
    `known` are the children of this process that are its own. Answers how many were killed. Orphans
    come to a process that has called `processes.adopt_orphans`."""
    count = 0
    for _ in range(_MOST_ROUNDS):
        orphans = [child for child in children(os.getpid()) if child.pid not in known]
        for orphan in orphans:
            if orphan.zombie:
                reap(orphan.pid)
        left = _trees(orphans)
        if not left:
            break
        _log.warning("Killing what a worker has left: %s", sorted(p.pid for p in left))
        count += len(left)
        _send(left, signal.SIGKILL)
        _wait_for(left, 0.2)
    return count


def reap_orphans(known: Collection[int]) -> None:
    """Collect what has ended of the processes that have come to this one; one system call when
    nothing has."""
    with suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if ended.si_pid in known:
                return  # whoever has started it collects it
            reap(ended.si_pid)


def children(pid: int, *, any_session: bool = False) -> list[Process]:
    """The children of `pid` that are in its session, or all of them; also those that have ended and
    are not collected."""
    session = _session(pid)
    return [p for p in _all() if p.parent == pid and (any_session or p.session == session)]


def _trees(roots: Iterable[Process]) -> list[Process]:
    """The living ones of `roots`, and all below them, of this session."""
    started = {root.pid: root.started for root in roots}
    if not started:
        return []
    session = os.getsid(0)
    below: dict[int, list[Process]] = {}
    found: list[Process] = []
    for process in _all():
        if process.session == session:
            below.setdefault(process.parent, []).append(process)
            if started.get(process.pid) == process.started:
                found.append(process)
    for process in found:  # grows
        found += below.get(process.pid, ())
    unique = {process.pid: process for process in found if process.pid != os.getpid()}
    return [process for process in unique.values() if not process.zombie]


def _send(processes: Iterable[Process], number: signal.Signals) -> None:
    for process in processes:
        if _alive([process]):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, number)


def _wait_for(processes: Collection[Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while _alive(processes) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)


def _alive(processes: Iterable[Process]) -> list[Process]:
    def lives(process: Process) -> bool:
        now = find(process.pid)
        return now is not None and now.started == process.started and not now.zombie

    return [process for process in processes if lives(process)]


def reap(pid: int) -> None:
    """Collect the child `pid` if it has ended."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _all() -> list[Process]:
    if not _LINUX:
        return _from_ps()
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return [process for pid in pids if (process := _from_proc(pid)) is not None]


def _from_proc(pid: int) -> Process | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:  # it has ended, or is hidden from us (hidepid)
        return None
    # The name is in parentheses and may hold any character: count from the last one.
    state, parent, _, session, *fields = stat.rpartition(")")[2].split()
    return Process(
        pid=pid,
        parent=int(parent),
        session=int(session),
        started=fields[15],
        zombie=state in "ZX",
    )


def _from_ps() -> list[Process]:
    table = subprocess.run(
        ["/bin/ps", "-A", "-o", "pid=,ppid=,stat=,lstart="],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    found = []
    for line in table.stdout.splitlines():
        pid, parent, state, started = line.split(None, 3)
        session = _session(int(pid))
        if session is not None:
            found.append(
                Process(
                    pid=int(pid),
                    parent=int(parent),
                    session=session,
                    started=started,
                    zombie=state.startswith("Z"),
                )
            )
    return found
