"""Named places where a test may kill the process, raise or wait. In production they do nothing.

A place is addressed by the run and the step that come to it, and not by how often the process has
come there: how many writes one transaction takes is up to the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

#: Every fault point there is, in the order a run meets them.
POINTS = (
    "after_claim",
    "before_record",
    "after_record",
    "before_commit",
    "after_commit",
    "before_transaction",
    "after_transaction",
    "after_artifact_bytes",
    "before_finish",
    "after_finish",
    "after_hint",
)

#: The id of a run, and its step; None before its first and after its last superstep.
Place: TypeAlias = tuple[str, int | None]


@dataclass(frozen=True)
class _Armed:
    action: Callable[[], None]
    run_id: str | None
    step: int | Literal["any"] | None

    def matches(self, places: Sequence[Place]) -> bool:
        """Whether one of `places` is where it is armed. Without a run and a step it is everywhere,
        also where no step is committed."""
        if self.run_id is None and self.step == "any":
            return True
        return any(
            self.run_id in (None, run_id) and self.step in ("any", step) for run_id, step in places
        )


_armed: dict[str, _Armed] = {}
_watcher: Callable[[str, Place], None] | None = None
_quiet = True  # nothing is armed, nobody watches: looked at first, for each step passes here


def point(name: str, run_id: str, step: int | None = None) -> None:
    """Do what was armed for `name` at this place, if anything; from any thread."""
    if not _quiet:
        _reach(name, [(run_id, step)])


def points(name: str, places: Iterable[Place]) -> None:
    """`point` for all `places` that come to `name` at once: what was armed is done once."""
    if not _quiet:
        _reach(name, list(places))


def arm(
    name: str,
    action: Callable[[], None],
    *,
    run_id: str | None = None,
    step: int | Literal["any"] | None = "any",
) -> None:
    """Call `action` whenever `name` is reached by the run `run_id` (None: any) at `step`.

    Raises ValueError for an unknown name."""
    global _quiet
    if name not in POINTS:
        raise ValueError(f"There is no fault point {name!r}; there are {', '.join(POINTS)}.")
    _armed[name] = _Armed(action, run_id, step)
    _quiet = False


def watch(watcher: Callable[[str, Place], None]) -> None:
    """Call `watcher` with each name and place that is reached."""
    global _watcher, _quiet
    _watcher, _quiet = watcher, False


def disarm() -> None:
    """Forget everything that was armed, and who watches."""
    global _watcher, _quiet
    _armed.clear()
    _watcher, _quiet = None, True


def _reach(name: str, places: Sequence[Place]) -> None:
    if _watcher is not None:
        for place in places:
            _watcher(name, place)
    if (armed := _armed.get(name)) is not None and armed.matches(places):
        armed.action()
