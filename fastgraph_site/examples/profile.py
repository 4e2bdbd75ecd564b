"""What is in one column of a table: its type, and what can be said about values of that type."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TypedDict, cast

from fastgraph_site.examples.values import Kind, Value, infer, is_missing

BINS = 12
TOP = 5
MAX_SHOWN = 80

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - _EPOCH).total_seconds()


class Top(TypedDict):
    value: str
    count: int


class Bin(TypedDict):
    """Values from `low` up to `high`; the last bin has its `high` too."""

    low: float | str
    high: float | str
    count: int


class Profile(TypedDict):
    """One column; `count` is of values that are there. `min` and `max` are numbers, ISO dates or
    times, and None for text, whose lengths are in `lengths` (shortest, mean, longest). Only numbers
    have `mean`, `deviation` and `quantiles`; numbers and dates have a `histogram`."""

    name: str
    type: Kind
    count: int
    missing: int
    distinct: int
    min: float | str | None
    max: float | str | None
    mean: float | None
    deviation: float | None
    quantiles: dict[str, float]
    lengths: list[float]
    top: list[Top]
    histogram: list[Bin]


def profile(name: str, texts: Sequence[str], *, decimal: str = ".") -> Profile:
    """The profile of one column from its values as they are written."""
    present = [text for text in texts if not is_missing(text)]
    kind, values = infer(present, decimal=decimal)
    seen = Counter(present)
    result = Profile(
        name=name,
        type=kind,
        count=len(present),
        missing=len(texts) - len(present),
        distinct=len(set(values)),
        min=None,
        max=None,
        mean=None,
        deviation=None,
        quantiles={},
        lengths=[],
        top=[Top(value=shorten(text), count=count) for text, count in seen.most_common(TOP)],
        histogram=[],
    )
    if kind in ("integer", "number"):
        _describe_numbers(result, cast(list[float], values))
    elif kind in ("date", "datetime"):
        _describe_times(result, cast(list[date], values))
    elif kind == "text":
        lengths = [len(text) for text in present]
        mean = round(sum(lengths) / len(lengths), 2)
        result["lengths"] = [min(lengths), mean, max(lengths)]
    return result


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` of the sorted values lie, interpolated between neighbours as
    spreadsheets do (R's type 7)."""
    position = (len(ordered) - 1) * share
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    part = position - below
    # Not low + (high - low) * part: the difference of two huge numbers is infinite.
    return ordered[below] * (1 - part) + ordered[above] * part


def shorten(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def _describe_numbers(result: Profile, values: list[float]) -> None:
    ordered = sorted(values)
    mean = math.fsum(value / len(values) for value in values)
    spread = math.fsum((value - mean) * (value - mean) / len(values) for value in values)
    result["min"], result["max"] = ordered[0], ordered[-1]
    result["mean"] = _rounded(mean)
    result["deviation"] = _rounded(math.sqrt(spread)) if math.isfinite(spread) else None
    result["quantiles"] = {
        f"p{share:02d}": _rounded(quantile(ordered, share / 100)) for share in (5, 25, 50, 75, 95)
    }
    result["histogram"] = _histogram(ordered, _same, whole=result["type"] == "integer")


def _describe_times(result: Profile, values: Sequence[date]) -> None:
    ordered = sorted(values)
    result["min"], result["max"] = _iso(ordered[0]), _iso(ordered[-1])
    days = result["type"] == "date"
    numbers = [float(value.toordinal()) if days else _seconds(value) for value in ordered]
    result["histogram"] = _histogram(numbers, _day if days else _moment, whole=days)


def _histogram(
    ordered: list[float], label: Callable[[float], float | str], *, whole: bool
) -> list[Bin]:
    """At most BINS bins of one width; one a value when the values are whole and that few."""
    low, high = float(ordered[0]), float(ordered[-1])
    if not math.isfinite(high - low):
        return []
    bins = BINS
    if whole and high - low < BINS:
        bins, low, high = int(high - low) + 1, low, high + 1
    width = (high - low) / bins
    counts = [0] * bins
    for value in ordered:
        # Subnormal widths round to 0: everything is in the first bin then.
        counts[min(int((value - low) / width), bins - 1) if width else 0] += 1
    return [
        Bin(low=label(low + width * index), high=label(low + width * (index + 1)), count=count)
        for index, count in enumerate(counts)
    ]


def _same(value: float) -> float:
    return _rounded(value)


def _day(value: float) -> str:
    return date.fromordinal(min(int(value), date.max.toordinal())).isoformat()


def _moment(value: float) -> str:
    return _iso(_EPOCH + timedelta(seconds=min(value, _LAST)))


def _seconds(value: date) -> float:
    return (cast(datetime, value) - _EPOCH).total_seconds()


def _iso(value: Value) -> str:
    text = cast(date, value).isoformat()
    return text.replace("+00:00", "Z")


def _rounded(value: float) -> float:
    """Twelve significant digits: what the input can mean, without the dust of binary fractions."""
    return float(f"{value:.12g}")
