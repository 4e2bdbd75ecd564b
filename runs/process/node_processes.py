"""Which call of a node has started which process, so that a call that is stopped or fails takes
them along (`runs.engine.concurrency.child_processes`).

The functions of the standard library that start processes are wrapped, in worker processes only.
The processes of pools, executors and managers are not recorded: other calls may use them as well.
They end with their worker, as everything does that a call leaves behind when it finishes.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any

from runs.engine.concurrency import child_processes
from runs.engine.execution.task.task_call import current
from runs.process import process_tree

#: The packages whose processes serve many calls.
_SHARED = ("multiprocessing", "concurrent", "joblib", "loky")
#: Zombies are looked for at most so often, when a process is started. Seconds.
_REAP_SECONDS = 30.0


class _Here(threading.local):
    #: Whether what this thread starts at the moment is none of the call's.
    unrecorded = False


_here = _Here()


@contextmanager
def _unrecorded() -> Iterator[None]:
    before, _here.unrecorded = _here.unrecorded, True
    try:
        yield
    finally:
        _here.unrecorded = before


_installed = False


def install() -> None:
    """Record from now on, in this process. To be called in a worker, before it executes anything;
    calling it again does nothing."""
    global _installed
    if _installed:
        return
    _installed = True
    child_processes.end_with(process_tree.end_soon)
    for name in ("fork", "forkpty", "posix_spawn", "posix_spawnp"):
        if function := getattr(os, name, None):
            setattr(os, name, _recorded(function))
    os.system = _system
    _wrap_popen()
    _wrap_process()


def _recorded(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which starts a process and answers its pid, alone or first."""

    @functools.wraps(function)
    def start(*args: Any, **kwargs: Any) -> Any:
        _check()
        answer = function(*args, **kwargs)
        pid = answer[0] if isinstance(answer, tuple) else answer
        if pid:
            _add(pid)
        return answer

    return start


def _wrap_popen() -> None:
    init = subprocess.Popen.__init__

    @functools.wraps(init)
    def start(self: subprocess.Popen[Any], *args: Any, **kwargs: Any) -> None:
        _check()
        init(self, *args, **kwargs)
        _add(self.pid)

    subprocess.Popen.__init__ = start  # type: ignore[method-assign]


def _wrap_process() -> None:
    original = BaseProcess.start

    @functools.wraps(original)
    def start(self: BaseProcess) -> None:
        target = getattr(self, "_target", None)
        shared = (getattr(target, "__module__", None) or "").partition(".")[0] in _SHARED
        _check()
        with _unrecorded():
            original(self)
        if not shared and self.pid is not None:
            _add(self.pid)

    BaseProcess.start = start  # type: ignore[method-assign]


def _system(command: Any) -> int:
    """As `os.system`: the wait status of the shell; SIGINT and SIGQUIT are the shell's meanwhile,
    where Python can say so, in the main thread. The process that waits for it is known."""
    with _interrupts_ignored():
        code = subprocess.Popen(command, shell=True, close_fds=False).wait()  # noqa: S602
    return -code if code < 0 else code << 8


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """By a handler that does nothing: the shell would inherit that a signal is ignored."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGQUIT):
            handler = signal.getsignal(number)
            if handler not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check() -> None:
    call = current.get(None)
    if call is not None:
        child_processes.check(call)


def _add(pid: int) -> None:
    call = current.get(None)
    if call is not None and not _here.unrecorded:
        with _unrecorded():  # to look may start a process, too (ps)
            process = process_tree.find(pid)
        if process is not None:  # it has not ended yet
            child_processes.add(call, process)
    _reaper.started(pid)


class _Reaper:
    """Collects the orphans that have come to this process and have ended. The processes that were
    started here are left to those who have started them."""

    def __init__(self) -> None:
        self._own: set[int] = set()
        self._zombies: set[tuple[int, str]] = set()
        self._at = time.monotonic()

    def started(self, pid: int) -> None:
        """To be told of every process that is started here."""
        self._own.add(pid)
        if time.monotonic() - self._at > _REAP_SECONDS:
            self._at = time.monotonic()
            threading.Thread(target=self.reap, name="reap-orphans", daemon=True).start()

    def reap(self) -> None:
        """Collect those that were zombies the last time, too: what a library has started on its own
        it collects sooner."""
        before = set(self._own)
        found = process_tree.children(os.getpid(), any_session=True)
        self._own -= before - {process.pid for process in found}
        zombies = {(p.pid, p.started) for p in found if p.zombie and p.pid not in self._own}
        for pid, _ in zombies & self._zombies:
            process_tree.reap(pid)
        self._zombies = zombies


_reaper = _Reaper()
