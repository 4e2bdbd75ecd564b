"""Which processes hold the slots of this host, and whether they are workers that live.

A slot is a lock on a file. It is held by every process that has a copy of the descriptor, so the
process that took it may be gone. Only Linux tells who has one; elsewhere the file does, which names
the worker that took it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from runs.db.guard import open_transactions
from runs.models import Worker
from runs.process import processes, slots

#: A worker that has just taken its slot is not registered yet. Seconds.
_REGISTERS_SECONDS = 2.0
_LONGEST_COMMAND = 200


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A process that has the slot `slot` locked. `since`: when it did so, or began if that was
    later."""

    slot: str
    pid: int
    command: str
    since: datetime

    def __str__(self) -> str:
        return (
            f"slot {self.slot} is held by process {self.pid} ({self.command}) since"
            f" {self.since:%Y-%m-%d %H:%M:%S} UTC"
        )


def blocking(now: datetime, *, apart: bool = False) -> list[Holder]:
    """Who keeps this host from executing: every slot is taken, and none by a worker that lives.
    Empty when that is not so. Costs next to nothing as long as the workers are well."""
    if slots.free(apart=apart) or open_transactions.locked_seconds():
        return []  # while the database is locked, a worker cannot register either
    alive = _alive_here()
    taken_by = {name: slots.taken_by(name) for name in slots.names(apart=apart)}
    if any(pid in alive for pid in taken_by.values()):
        return []
    holders = [holder for name in taken_by for holder in _holders(name)]
    young = now - timedelta(seconds=_REGISTERS_SECONDS)
    if any(holder.pid in alive or holder.since > young for holder in holders):
        return []
    return holders


def advice(holders: list[Holder], *, apart: bool = False) -> str:
    """What to say of holders that are `blocking`."""
    pids = " ".join(str(pid) for pid in sorted({holder.pid for holder in holders}))
    what = "No run that is executed apart starts" if apart else "No run starts"
    return (
        f"{what} on host {processes.host()}: {'; '.join(map(str, holders))}, and no living worker"
        f" has one. A restart does not change that. End what holds it: kill {pids}"
    )


def _alive_here() -> set[int]:
    # By the process, not by the heartbeat: a worker cannot write one while the database is locked,
    # and the sweep ends a worker that is silent for too long.
    workers = Worker.objects.filter(host=processes.host(), awake=True)
    return {
        worker.pid
        for worker in workers
        if processes.process_started(worker.pid) == worker.process_started
    }


def _holders(slot: str) -> list[Holder]:
    path = slots.path_of(slot)
    try:
        taken = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return []
    if sys.platform.startswith("linux"):
        pids = list(_with_lock(path))
    else:
        pid = slots.taken_by(slot)
        pids = [] if pid is None or processes.process_started(pid) is None else [pid]
    return [
        Holder(slot=slot, pid=pid, command=_command(pid), since=max(taken, _began(pid) or taken))
        for pid in pids
    ]


def _with_lock(path: Path) -> Iterator[int]:
    """The processes that have an open file with the lock on `path`; those of other users are not
    seen."""
    file = path.stat()
    for name in os.listdir("/proc"):
        if name.isdigit() and _has_lock(int(name), file):
            yield int(name)


def _has_lock(pid: int, file: os.stat_result) -> bool:
    with suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if os.path.samestat(entry.stat(), file):
                    info = Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text()
                    if any(line.startswith("lock:") for line in info.splitlines()):
                        return True
    return False


def _command(pid: int) -> str:
    if sys.platform.startswith("linux"):
        try:
            found = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        except OSError:
            found = b""
    else:
        command = ["/bin/ps", "-o", "command=", "-p", str(pid)]
        found = subprocess.run(command, capture_output=True, check=False).stdout
    return found.decode(errors="replace").strip()[:_LONGEST_COMMAND] or "its command is unknown"


def _began(pid: int) -> datetime | None:
    """When the process began, to the second; None where that is not known."""
    with suppress(OSError, StopIteration, IndexError):
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        lines = Path("/proc/stat").read_text().splitlines()
        boot = int(next(line.split()[1] for line in lines if line.startswith("btime ")))
        return datetime.fromtimestamp(boot + ticks / os.sysconf("SC_CLK_TCK"), UTC)
    return None
