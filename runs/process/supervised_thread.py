"""Threads that a process must not lose without noticing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger("fastgraph.worker")

#: Seconds between an unexpected error of a thread and its next beginning.
RESTART_SECONDS = 0.5


class SupervisedThread:
    """Calls `body` on a thread of its own until `ended` is set. An error of `body` is logged, and
    `body` is called again. If the thread itself has to end before `ended` is set, `on_death` is
    called on it."""

    def __init__(
        self,
        name: str,
        body: Callable[[], object],
        *,
        ended: threading.Event,
        on_death: Callable[[], object],
        on_error: Callable[[], object] = lambda: None,
    ) -> None:
        self._name = name
        self._body = body
        self._ended = ended
        self._on_death = on_death
        #: Called after each error, before `body` begins again. It may raise: that ends the thread.
        self._on_error = on_error
        self._thread = threading.Thread(target=self._run, name=name)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        """Wait until the thread has ended; `ended` must be set."""
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                self._call_body()
        finally:
            if not self._ended.is_set():
                _log.critical("The thread %r has ended, and its process ends with it", self._name)
                self._on_death()

    def _call_body(self) -> None:
        try:
            self._body()
        except Exception:
            _log.exception("The thread %r failed, it begins again", self._name)
            self._on_error()
            self._ended.wait(RESTART_SECONDS)
