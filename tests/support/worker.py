"""A worker in the process of the test."""

from __future__ import annotations

import asyncio
from typing import Any

from artifacts.store import store
from runs.worker.worker import Worker


def run_pending(**options: Any) -> None:
    """Executes every pending run, in this process, to its end. `options` are the worker's."""
    asyncio.run(Worker(store(), **options).drain())
