"""The gate through which the writes of a run go one at a time."""

from __future__ import annotations

import threading

from runs.engine.errors import Fenced
from runs.engine.events import Event
from runs.engine.journal.ports import ArtifactRef


class CommitGate:
    """One call of an atomic node: what it has stated so far, and who decides how it ends. Its
    thread, with the commit, or its run, which does not wait for it any more: whoever is first."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.artifacts: list[ArtifactRef] = []
        self._lock = threading.Lock()
        self._given_up = self._committing = False

    def take(self) -> None:
        """About to commit; Fenced when nobody waits for that any more."""
        with self._lock:
            if self._given_up:
                raise Fenced("The run did not wait for this node; its transaction is undone.")
            self._committing = True

    def give_up(self) -> bool:
        """Whether the transaction is undone: False when it is too late for that."""
        with self._lock:
            self._given_up = not self._committing
            return self._given_up
