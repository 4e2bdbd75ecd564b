"""The profile of a table as one SVG picture, a card a column; light or dark as the viewer is."""

from __future__ import annotations

import math
import re
from xml.sax.saxutils import quoteattr

from fastgraph_site.examples.profile import Bin, Profile, Top

MAX_CARDS = 60

_WIDTH, _GAP, _HEAD = 800, 16, 64
_CARD_WIDTH, _CARD_HEIGHT = 376, 168
_INSIDE = _CARD_WIDTH - 32
_STYLE = """
svg{font-family:ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;font-size:12px}
.page{fill:#f8fafc}.card{fill:#fff;stroke:#e2e8f0}.title{font-size:18px;font-weight:650}
.name{font-size:14px;font-weight:600}.title,.name{fill:#0f172a}.label{fill:#334155}
.quiet{fill:#64748b}.bar{fill:#6366f1}.rail{fill:#eef2ff}.gone{fill:#f59e0b}.end{text-anchor:end}
@media(prefers-color-scheme:dark){.page{fill:#0b1020}.card{fill:#121a2e;stroke:#26324d}
.title,.name{fill:#f1f5f9}.label{fill:#cbd5e1}.quiet{fill:#94a3b8}.bar{fill:#818cf8}
.rail{fill:#1e293b}.gone{fill:#fbbf24}}
""".replace("\n", "")


def svg(profiles: list[Profile], *, rows: int) -> str:
    """The picture. All text of the table is escaped; columns after the sixtieth are counted only.
    Nothing in it is loaded from elsewhere, and there is no script."""
    shown = profiles[:MAX_CARDS]
    lines = math.ceil(len(shown) / 2)
    height = _HEAD + lines * (_CARD_HEIGHT + _GAP)
    title = f"{rows:,} rows, {len(profiles):,} columns"
    left_out = len(profiles) - len(shown)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" role="img" aria-label={attribute(title)}>',
        f"<style>{_STYLE}</style>",
        f'<rect class="page" width="{_WIDTH}" height="{height}" rx="12"/>',
        _text(_GAP, 40, "title", title),
    ]
    if left_out:
        parts.append(_text(_WIDTH - _GAP, 40, "quiet end", f"and {left_out:,} more columns"))
    for index, column in enumerate(shown):
        x = _GAP + index % 2 * (_CARD_WIDTH + _GAP)
        y = _HEAD + index // 2 * (_CARD_HEIGHT + _GAP)
        parts.append(f'<g transform="translate({x} {y})">{_card(column, rows)}</g>')
    return "\n".join([*parts, "</svg>", ""])


def escape(text: str) -> str:
    """`text` as XML character data; characters that XML cannot have become the replacement one."""
    text = re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def attribute(text: str) -> str:
    """`text` as a quoted XML attribute value."""
    return quoteattr(re.sub("[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text))


def _card(column: Profile, rows: int) -> str:
    parts = [
        f'<rect class="card" width="{_CARD_WIDTH}" height="{_CARD_HEIGHT}" rx="10"/>',
        _text(16, 28, "name", cut(column["name"], 34), hint=column["name"]),
        _text(_CARD_WIDTH - 16, 28, "quiet end", column["type"]),
        _text(16, 48, "label", _summary(column)),
        _missing(column, rows),
    ]
    if column["histogram"]:
        parts.append(_bars(column))
    else:
        parts.append(_top(column["top"]))
    return "".join(parts)


def _summary(column: Profile) -> str:
    if column["mean"] is not None:
        median = column["quantiles"]["p50"]
        return f"median {number(median)} · mean {number(column['mean'])}"
    return f"{column['distinct']:,} distinct"


def _missing(column: Profile, rows: int) -> str:
    """A rail at the foot of the card, filled as far as values are missing."""
    share = column["missing"] / rows if rows else 0.0
    label = f"{column['missing']:,} missing" if column["missing"] else "complete"
    return (
        _text(_CARD_WIDTH - 16, 48, "quiet end", label)
        + f'<rect class="rail" x="16" y="58" width="{_INSIDE}" height="3" rx="1.5"/>'
        + (
            f'<rect class="gone" x="16" y="58" width="{_INSIDE * share:.1f}" height="3" rx="1.5"/>'
            if share
            else ""
        )
    )


def _bars(column: Profile) -> str:
    """The histogram, with the smallest and largest value at its ends."""
    bins = column["histogram"]
    most = max(each["count"] for each in bins)
    step = _INSIDE / len(bins)
    floor, tallest = 140, 70
    drawn = []
    for index, each in enumerate(bins):
        height = max(tallest * each["count"] / most, 1.5) if each["count"] else 0.0
        drawn.append(
            f'<rect class="bar" x="{16 + step * index + 1:.1f}" y="{floor - height:.1f}" '
            f'width="{step - 2:.1f}" height="{height:.1f}" rx="2">'
            f"<title>{escape(_range(each))}</title></rect>"
        )
    return (
        "".join(drawn)
        + _text(16, 157, "quiet", _end(column["min"]))
        + _text(_CARD_WIDTH - 16, 157, "quiet end", _end(column["max"]))
    )


def _top(top: list[Top]) -> str:
    """The most frequent values, a line each."""
    if not top:
        return _text(16, 92, "quiet", "no values")
    most = top[0]["count"]
    lines = []
    for index, each in enumerate(top):
        y = 80 + index * 18
        width = max(140 * each["count"] / most, 2)
        lines.append(
            _text(16, y, "label", cut(" ".join(each["value"].split()), 22), hint=each["value"])
            + f'<rect class="bar" x="176" y="{y - 9}" width="{width:.1f}" height="10" rx="2"/>'
            + _text(_CARD_WIDTH - 16, y, "quiet end", f"{each['count']:,}")
        )
    return "".join(lines)


def _range(each: Bin) -> str:
    return f"{_end(each['low'])} to {_end(each['high'])}: {each['count']:,}"


def _end(value: float | str | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else number(value)


def number(value: float) -> str:
    """A number for people, in at most some nine characters: 1,234 · 0.125 · 1.2e+15."""
    if value == int(value) and abs(value) < 10**12:
        return f"{int(value):,}"
    return f"{value:,.2f}" if 100 <= abs(value) < 10**9 else f"{value:.4g}"


def cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _text(x: int, y: int, kind: str, text: str, hint: str = "") -> str:
    title = f"<title>{escape(hint)}</title>" if hint and hint != text else ""
    return f'<text class="{kind}" x="{x}" y="{y}">{escape(text)}{title}</text>'
