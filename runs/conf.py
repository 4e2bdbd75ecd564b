"""The typed view of `settings.FASTGRAPH`: what the domain may know about its installation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from django.conf import settings


@dataclass(frozen=True, kw_only=True)
class Conf:
    """One value per knob; seconds and bytes unless the name says otherwise."""

    worker_job: str
    data_dir: Path
    jobs: Sequence[str] = ()
    version: str = ""
    workers: int = 1
    concurrency: int = 100
    node_threads: int = 16
    lease_seconds: float = 10.0
    sweep_seconds: float = 1.0
    linger_seconds: float = 5.0
    cancel_seconds: float = 10.0
    fault: str = ""
    max_attempts: int = 3
    step_limit: int = 10_000
    max_body_bytes: int = 10 * 2**20
    max_waits: int = 8_000
    max_value_bytes: int = 64 * 2**20
    max_state_bytes: int = 256 * 2**20
    max_event_bytes: int = 256 * 2**10
    journal_queue_bytes: int = 8 * 2**20


def conf() -> Conf:
    """The settings as they are now: tests may put others in their place, but not change them."""
    global _known
    given = settings.FASTGRAPH
    known = _known
    if known is None or known[0] is not given:
        values = {name: value for name, value in given.items() if name in _NAMES}
        known = _known = (given, Conf(**values))
    return known[1]


_NAMES = frozenset(field.name for field in fields(Conf))
#: `settings.FASTGRAPH` when it was read last, and what was read.
_known: tuple[Mapping[str, Any], Conf] | None = None
