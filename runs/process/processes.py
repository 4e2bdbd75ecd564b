"""Operating-system processes: telling one from a later one with the same pid, and seeing to it
that none outlives its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

_LINUX = sys.platform.startswith("linux")
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_WATCH_SECONDS = 0.25
#: Nothing else sends it, and a process that does not handle it dies of it.
_PARENT_DIED = signal.SIGUSR1


def process_started(pid: int) -> str | None:
    """What tells the process `pid` from any other that had or will have this pid on this machine
    (at most 40 characters); None when there is no such process, or it has ended and only waits to
    be reaped."""
    return _linux_start(pid) if _LINUX else _posix_start(pid)


def stopped(pid: int) -> bool:
    """Whether the process is frozen by a signal (SIGSTOP), and not merely slow or traced."""
    state = "".join(_linux_stat(pid)[:1]) if _LINUX else _posix_stat(pid)[0]
    return state.startswith("T")


def host() -> str:
    """The name of this machine, as Worker rows carry it."""
    return socket.gethostname()


def known_dead(pid: int, started: str) -> bool:
    """True only when the process that `process_started` once described as `started` has certainly
    ended. An answer from before a reboot or from another pid namespace is no proof: False."""
    if not started or _epoch(started) != _epoch(_own_start()):
        return False
    return process_started(pid) != started


def die_with_parent(parent: int) -> None:
    """From now on this process is killed when `parent`, which started it, ends in whatever way.
    To be called first in a child: the parent may be dead already, then this does not return."""
    if _LINUX:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), name="parent-watch", daemon=True).start()
    # After prctl, not before: a parent that dies between the two would go unnoticed.
    if os.getppid() != parent:
        os._exit(1)


def end_after(parent: int) -> None:
    """From now on this process, which a node has forked, ends when `parent` does. On Linux nothing
    is to be done here: it is killed by the process that it comes to (`adopt_orphans`). A signal at
    the parent's death would come too early, when the thread ends that has forked."""
    if not _LINUX:
        threading.Thread(target=_watch, args=(parent,), name="parent-watch", daemon=True).start()


def adopt_orphans() -> None:
    """From now on every process below this one comes to this one when its parent ends, and not to
    the first process of the machine. Only Linux can."""
    if _LINUX:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def when_parent_dies(parent: int, act: Callable[[], object]) -> None:
    """From now on this process, which `parent` has forked, calls `act` in its main thread when
    `parent` ends in whatever way, and ends then. To be called first in a child, in place of
    `die_with_parent`."""
    if not _LINUX:
        die_with_parent(parent)
        return

    own = os.getpid()

    def end(number: int, frame: object) -> None:
        if os.getpid() == own and os.getppid() != parent:
            try:
                act()
            finally:
                os._exit(1)

    signal.signal(_PARENT_DIED, end)
    _prctl(_PR_SET_PDEATHSIG, _PARENT_DIED)
    if os.getppid() != parent:
        os._exit(1)


def forget_parent() -> None:
    """In a forked child: handle nothing that its parent handles by `when_parent_dies`."""
    signal.signal(_PARENT_DIED, signal.SIG_DFL)


def name_process(name: str) -> None:
    """Show `name` (at most 15 characters) in ps and top; only Linux can."""
    if _LINUX:
        _prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()[:15]))


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: object) -> None:
    if _libc().prctl(option, value, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _epoch(started: str) -> str:
    """The part that must be the same for two answers to be comparable."""
    return started.rpartition(":")[0] if _LINUX else ""


@cache
def _own_start_of(pid: int) -> str:
    return process_started(pid) or ""


def _own_start() -> str:
    return _own_start_of(os.getpid())  # by pid: a fork must not take its parent's answer


@cache
def _linux_epoch() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    return f"{boot}:{namespace}"


def _linux_start(pid: int) -> str | None:
    state, *fields = _linux_stat(pid) or ["X"]
    if state in "ZX":
        return None
    return f"{_linux_epoch()}:{fields[18]}"


def _linux_stat(pid: int) -> list[str]:
    """The fields from the state on; empty when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    # The name, field 2, is in parentheses and may hold any character: count from the last one.
    return stat.rpartition(")")[2].split()


def _posix_start(pid: int) -> str | None:
    state, started = _posix_stat(pid)
    return None if not state or state.startswith("Z") else started


def _posix_stat(pid: int) -> tuple[str, str]:
    """State and start; empty when there is no such process."""
    result = subprocess.run(
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    state, _, started = result.stdout.strip().partition(" ")
    return state, " ".join(started.split())
