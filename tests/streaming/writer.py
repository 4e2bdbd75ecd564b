"""Another process that writes events: `python -m tests.streaming.writer RUN_ID NAME…`."""

from __future__ import annotations

import sys
from uuid import UUID

import django

if __name__ == "__main__":
    django.setup()
    from tests.streaming.journal_rows import append

    append(UUID(sys.argv[1]), *sys.argv[2:])
