"""What of the libraries' log lines is shown."""

from __future__ import annotations

import logging

_SOCKET_LINES = ("connection open", "connection closed", '%s - "WebSocket %s" ')


class NoSockets(logging.Filter):
    """Leaves out what uvicorn says at INFO of every socket that opens and closes."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.INFO or not str(record.msg).startswith(_SOCKET_LINES)
