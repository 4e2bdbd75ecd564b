"""Frames as the bytes of WebSocket messages, for servers that take them so.

Most of the cost of a frame on its way to one of many clients lies in the layers between. A server
that supports it gets the bytes instead, several messages at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from runs.queries.event_frames import Frame

#: Among the scope's `extensions` of a server that takes `{"type": "websocket.send", EXTENSION:
#: bytes}`: whole messages, to be written to the connection as they are. Its own entry `write` does
#: the same at once, and tells whether the connection has room; if not, it has written nothing.
EXTENSION = "fastgraph.wire"
PIECE_BYTES = 16 * 1024  # bytes that are handed over at once

_FINAL_TEXT = 0x81


def supports_raw(scope: Mapping[str, Any]) -> bool:
    """Whether the server of this socket takes the bytes of messages."""
    return EXTENSION in (scope.get("extensions") or {})


def raw_writer(scope: Mapping[str, Any]) -> Callable[[bytes], bool] | None:
    """A function that writes the bytes of messages to this socket at once, if there is one."""
    extension: Mapping[str, Any] = (scope.get("extensions") or {}).get(EXTENSION) or {}
    return extension.get("write")


def messages(frames: Iterable[Frame]) -> Sequence[bytes]:
    """The pieces of `frames`, to be written by many."""
    return tuple(pieces(frames))


def pieces(frames: Iterable[Frame]) -> Iterator[bytes]:
    """Each of `frames` as a text message of its own, in pieces of about PIECE_BYTES bytes."""
    parts: list[bytes] = []
    size = 0
    for frame in frames:
        body = frame.body
        parts += (_head(len(body)), body)
        size += len(body)
        if size > PIECE_BYTES:
            yield b"".join(parts)
            parts.clear()
            size = 0
    if parts:
        yield b"".join(parts)


@lru_cache(maxsize=4096)
def _head(length: int) -> bytes:
    """The header of a text of `length` bytes (RFC 6455, 5.2; a server masks nothing)."""
    if length < 126:
        return bytes((_FINAL_TEXT, length))
    if length < 2**16:
        return bytes((_FINAL_TEXT, 126)) + length.to_bytes(2)
    return bytes((_FINAL_TEXT, 127)) + length.to_bytes(8)
