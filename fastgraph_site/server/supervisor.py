"""The process behind `serve` and `workers`: keeps the worker cluster and the web process running,
and stops both together.

It has neither threads nor an event loop, because it forks again whenever the sentinel dies. The
web process is not forked but started afresh, since it has both. The listening socket belongs to
this process, so that a client that connects while the web process is replaced only waits.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from types import FrameType

from fastgraph_site.environment import BASE_DIR
from fastgraph_site.server.protocol import GO, NEVER_READY
from runs.cluster.main import Cluster
from runs.db.sqlite3 import database_file
from runs.process import process_tree, processes
from runs.process.shared_flag import Flag

logger = logging.getLogger(__name__)

_CYCLE_SECONDS = 0.25
_WEB_STOP_SECONDS = 7.0
_PAUSES = (0.1, 0.5, 2.0, 5.0)  # before the web process is started again, growing while it fails
_SOUND_SECONDS = 30.0  # a web process that lived this long did not fail at its start


class Supervisor:
    """Runs until SIGINT or SIGTERM; returns the exit code of the whole. At least one of `listener`
    and `cluster` is given. `check` raises what speaks against it: until it has returned, nothing
    is served or executed. Meanwhile the web process loads, which takes longer."""

    def __init__(
        self,
        *,
        listener: socket.socket | None,
        server: str = "uvicorn",
        cluster: Cluster | None,
        check: Callable[[], object] = lambda: None,
    ) -> None:
        self._check = check
        self._listener = listener
        self._server = server
        self._cluster = cluster
        self._stop = Flag()
        self._web: subprocess.Popen[bytes] | None = None
        self._web_since = 0.0
        self._starts = 0
        self._failures = 0

    def run(self) -> int:
        code = 0
        try:
            self._start_web()
            self._check()
            database_file.expect()  # what is forked below opens this file, and no other
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                    signal.signal(number, self._on_signal)
            if self._cluster is not None:
                processes.adopt_orphans()
                self._cluster.start()
            self._let_serve()
            while not self._stop.wait(_CYCLE_SECONDS):
                if self._cluster is not None:
                    self._keep_cluster(self._cluster)
                if not self._keep_web():
                    code = 1
                    break
        finally:
            self._end()
        return code

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop.set()

    def _start_web(self) -> None:
        if self._listener is None:
            return
        descriptor = self._listener.fileno()
        self._web_since = monotonic()
        announce = "yes" if self._starts == 0 else "no"
        self._starts += 1
        path = os.pathsep.join(filter(None, [str(BASE_DIR), os.environ.get("PYTHONPATH", "")]))
        arguments = [str(os.getpid()), str(descriptor), self._server, announce]
        self._web = subprocess.Popen(
            [sys.executable, "-m", "fastgraph_site.server.process", *arguments],
            pass_fds=[descriptor],
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )

    def _let_serve(self) -> None:
        if self._web is not None and self._web.stdin is not None:
            with suppress(BrokenPipeError), self._web.stdin as leave:  # it may have died already
                leave.write(GO)

    def _keep_cluster(self, cluster: Cluster) -> None:
        """Start the sentinel again if it died. What nodes had started below it comes to this
        process then, and is ended."""
        died = cluster.keep()
        pids = [process.pid for process in (self._web, cluster.sentinel) if process is not None]
        own = [pid for pid in pids if pid is not None]
        if died:
            process_tree.end_orphans(own)
        process_tree.reap_orphans(own)

    def _keep_web(self) -> bool:
        """Start the web process again if it died. False when it cannot be started at all."""
        if self._web is None or self._web.poll() is None:
            return True
        lived = monotonic() - self._web_since
        if self._web.returncode == NEVER_READY and self._starts == 1:
            logger.error("The web process could not start; the log above says why.")
            return False
        self._failures = 1 if lived > _SOUND_SECONDS else self._failures + 1
        pause = _PAUSES[min(self._failures, len(_PAUSES)) - 1]
        logger.warning(
            "The web process ended (%s) and is started again in %s s", self._web.returncode, pause
        )
        if not self._stop.wait(pause):
            self._start_web()
            self._let_serve()
        return True

    def _end(self) -> None:
        """Stop everything, at once and within its limits: first tell both, then wait for both."""
        if self._listener is not None:
            self._listener.close()  # whoever connects now is refused, and does not wait in vain
        if self._cluster is not None:
            self._cluster.ask_to_stop()
        if self._web is not None:
            self._web.terminate()
            if self._web.stdin is not None:
                self._web.stdin.close()
            try:
                self._web.wait(_WEB_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._web.kill()
                self._web.wait()
        if self._cluster is not None:
            self._cluster.stop()
            process_tree.end_orphans(())
