"""What is ordered: runs of every bundled workflow, each of which ends the same way every time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TEXT = "The quick brown fox jumps over the lazy dog. It does so every day, rain or shine. " * 20
_CSV = "city,people,founded\nOslo,717710,1040-01-01\nBergen,291940,1070-01-01\n"


@dataclass(frozen=True, kw_only=True)
class Order:
    """One kind of run."""

    workflow: str
    payload: Mapping[str, Any]


#: Steps short enough that a run gets further between two blows, long enough to be hit.
ORDERS = (
    Order(workflow="text_report", payload={"input": _TEXT}),
    Order(workflow="csv_profile", payload={"input": _CSV}),
    Order(workflow="steps", payload={"steps": 20, "seconds": 0.1}),
    Order(workflow="tokens", payload={"count": 50, "interval": 0.02}),
    Order(workflow="ledger", payload={"transfers": 10, "seconds": 0.1}),
)
