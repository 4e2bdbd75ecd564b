"""Named places where a test may kill the process, raise or wait. In production they do nothing."""

from __future__ import annotations

from collections.abc import Callable

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

_actions: dict[str, Callable[[], None]] = {}


def point(name: str) -> None:
    """Do what was armed for `name`, if anything; from any thread."""
    if _actions and (action := _actions.get(name)) is not None:
        action()


def arm(name: str, action: Callable[[], None]) -> None:
    """Call `action` whenever `name` is reached. An unknown name raises ValueError."""
    if name not in POINTS:
        raise ValueError(f"There is no fault point {name!r}; there are {', '.join(POINTS)}.")
    _actions[name] = action


def disarm() -> None:
    """Forget everything that was armed."""
    _actions.clear()
