"""The typed view of `settings.FASTGRAPH`: what the domain may know about its installation."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from django.conf import settings


@dataclass(frozen=True, kw_only=True)
class Conf:
    """One value per knob; seconds and bytes unless the name says otherwise."""

    worker_job: str
    data_dir: Path
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
    max_value_bytes: int = 64 * 2**20
    max_state_bytes: int = 256 * 2**20
    max_event_bytes: int = 256 * 2**10
    journal_queue_bytes: int = 8 * 2**20


def conf() -> Conf:
    """The settings as they are now: cheap, and never cached, so that tests may override them."""
    known = {field.name for field in fields(Conf)}
    return Conf(**{name: value for name, value in settings.FASTGRAPH.items() if name in known})
