"""Stream modes over a run's events: which events each of them lets through.

The names are those of LangGraph. The frames are those of the log, whatever the mode. An event
without a mode in the table (`runs.engine.events.KINDS`) is about the run itself and passes in
every mode.
"""

from __future__ import annotations

from runs.engine import events
from runs.http.parameters import bad_parameter
from runs.queries.event_frames import Frame


class Modes:
    """A filter for frames. `all` is true when it lets every frame through. It has no memory and
    moves no cursor."""

    def __init__(self, names: frozenset[str] = frozenset()) -> None:
        self.all = not names or "debug" in names
        self._hidden = frozenset(
            kind.name for kind in events.KINDS if kind.modes and names.isdisjoint(kind.modes)
        )

    def allows(self, frame: Frame) -> bool:
        """Whether the frame passes."""
        return self.all or events.kind_name(frame.event) not in self._hidden


def parse_modes(text: str | None) -> Modes:
    """The filter for mode names with commas between them. No names: all events.

    Raises Problem 400 for a name that is no mode.
    """
    names = frozenset(name.strip() for name in (text or "").split(",") if name.strip())
    if not names.issubset(events.STREAM_MODES):
        modes = ", ".join(events.STREAM_MODES)
        raise bad_parameter("modes", f"must be of {modes}, with commas between them.")
    return Modes(names)
