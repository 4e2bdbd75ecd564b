"""How large values, events and states may be."""

from __future__ import annotations

from collections.abc import Mapping

from runs.engine.errors import NotStorableError
from runs.engine.types import START


def _who(node: str) -> str:
    return "the input" if node == START else f"node {node!r}"


def check_size(node: str, channel: str, size: int, limit: int | None) -> None:
    """Raise NotStorableError when `size` is over the limit."""
    refuse_over(f"Key {channel!r} of {_who(node)}", size, limit)


def refuse_over(what: str, size: int, limit: int | None) -> None:
    """Raise NotStorableError, naming `what`, when its `size` is over the limit of a value."""
    if limit is not None and size > limit:
        raise NotStorableError(
            f"{what} has {size:,} bytes; a value may have {limit:,}. Keep big things with "
            "ctx.save_artifact() and put their artifact_id into the state, or raise the limit "
            "(FASTGRAPH_MAX_VALUE_BYTES on the server)."
        )


def check_state_size(node: str, sizes: Mapping[str, int], limit: int | None) -> None:
    """Raise NotStorableError when all keys together (`sizes`: stored bytes) are over the limit."""
    total = sum(sizes.values())
    if limit is not None and total > limit:
        biggest = max(sizes, key=lambda key: sizes[key])
        raise NotStorableError(
            f"After {_who(node)} the state has {total:,} bytes; it may have {limit:,}. Most of it "
            f"is key {biggest!r} ({sizes[biggest]:,} bytes). Keep big things with "
            "ctx.save_artifact(), or raise the limit (FASTGRAPH_MAX_STATE_BYTES on the server)."
        )
