"""Stream modes over a run's events: which events each of them lets through.

The names are those of LangGraph; the frames stay the frames of the log. What says how the run
itself fares (`created`, `started`, …, and its end) passes in every mode.
"""

from __future__ import annotations

from runs.api.parameters import bad_parameter
from runs.engine import events
from runs.frames import Frame

#: The events of a mode; `custom` shows all with its prefix but messages, and `debug` everything.
MODES: dict[str, frozenset[str]] = {
    mode: events.shown_in(mode)
    for mode in (
        "values", "updates", "messages", "custom", "tasks", "checkpoints", "artifacts", "debug",
    )
}  # fmt: skip
#: What a mode has to ask for; anything else tells how the run itself fares.
CHOSEN = frozenset().union(*MODES.values())


class Modes:
    """A filter for frames, or none when it lets through `all`. It has no memory and moves no
    cursor."""

    def __init__(self, names: frozenset[str] = frozenset()) -> None:
        self.all = not names or "debug" in names
        self._custom = "custom" in names
        self._passing = frozenset().union(*(MODES[name] for name in names))

    def let(self, frame: Frame) -> bool:
        """Whether the frame passes."""
        event = frame.event
        if self.all or event in self._passing:
            return True
        if event.startswith(events.CUSTOM):
            return self._custom and event != events.MESSAGES
        return event not in CHOSEN


def parse_modes(text: str | None) -> Modes:
    """The filter for names with commas between them, all events for none; Problem 400 for a name
    that is no mode."""
    names = frozenset(name.strip() for name in (text or "").split(",") if name.strip())
    if names - set(MODES):
        raise bad_parameter("modes", f"must be of {', '.join(MODES)}, with commas between them.")
    return Modes(names)
