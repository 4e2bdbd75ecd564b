"""What the log says, and what it leaves out."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from fastgraph_site.logs import NoSockets
from runs.scheduling.recovery import _told


def _record(level: int, message: str, *values: Any) -> logging.LogRecord:
    return logging.LogRecord("uvicorn.error", level, "", 0, message, values, None)


def test_sockets_come_and_go_in_silence() -> None:
    shown = NoSockets().filter
    assert not shown(_record(logging.INFO, "connection open"))
    assert not shown(_record(logging.INFO, '%s - "WebSocket %s" [accepted]', "a", "b"))
    assert shown(_record(logging.INFO, "Application startup complete."))
    assert shown(_record(logging.ERROR, "connection closed without an answer"))


@pytest.mark.parametrize(
    ("recovered", "failed", "says"),
    [
        (1, 0, "1 run of a worker that ended goes on."),
        (2, 0, "2 runs of a worker that ended go on."),
        (0, 1, "1 run crashed too often and ended as failed."),
        (1, 2, "1 run of a worker that ended goes on. 2 runs crashed too often"),
    ],
)
def test_recovery_is_told_in_a_sentence(recovered: int, failed: int, says: str) -> None:
    assert _told(recovered, failed).startswith(says)
