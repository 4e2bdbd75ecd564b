"""Cursors as clients write them: the seq of an event."""

from __future__ import annotations

import re

BIGGEST_SEQ = 2**63 - 1


def parse_seq(text: str) -> int | None:
    """The seq; None when it is none."""
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > BIGGEST_SEQ:
        return None
    return int(text)
