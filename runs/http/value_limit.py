"""How many values a JSON text has, counted before it is parsed: a value costs a hundred bytes and
microseconds however few bytes it was sent as."""

from __future__ import annotations

import json

from django.conf import settings

from runs.errors import Problem


def refuse_too_many_values(body: bytes) -> None:
    """Problem 413 for a JSON text with more than `max_body_values` values. A key is no value; an
    empty array or object counts twice. Text that is no JSON may pass, and is cheap to parse up to
    its first fault."""
    most: int = settings.FASTGRAPH["max_body_values"]  # not conf(): each small body comes here
    if _separators(body) > most and _values(body, most) > most:
        detail = (
            f"The body has more than {most:,} JSON values. Send fewer, or raise"
            " FASTGRAPH_MAX_BODY_VALUES."
        )
        raise Problem(413, "too_many_values", detail)


def _separators(text: bytes) -> int:
    """At least the number of values, less one: each stands at the start, behind a comma, or first
    in an array or an object."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def _values(body: bytes, most: int) -> int:
    """The same without what stands in strings; any number above `most` when there are more."""
    encoding = json.detect_encoding(body)
    if not encoding.startswith("utf-8"):
        try:
            body = body.decode(encoding, "surrogatepass").encode(errors="surrogatepass")
        except UnicodeError:
            return 0  # refused by the parser at once
    # Within a string a backslash begins a pair, and nothing else ends it but a quote.
    text = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if text.count(b'"') // 2 > 2 * most:
        return 2 * most  # a value has at most one key, so at least half of them are values
    return _separators(b"".join(text.split(b'"')[::2]))
