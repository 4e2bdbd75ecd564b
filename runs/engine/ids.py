"""Ids: UUIDv7 for what is created, and derived ones for what must come out the same again.

A derived checkpoint id has the layout of a UUIDv7 too, so that checkpoints sort by time as
strings: first the run's own millisecond, then the superstep, then a hash.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
import uuid

_VERSION_7 = 0x7 << 76
_VERSION_8 = 0x8 << 76
_VARIANT = 0x2 << 62

_lock = threading.Lock()
_last_tick = 0


def uuid7() -> uuid.UUID:
    """A new time-ordered id (RFC 9562). Ids of one process strictly increase: the 12 bits after
    the millisecond carry its fraction, and a tick that was used already is followed by the next."""
    global _last_tick
    tick = time.time_ns() * 4096 // 1_000_000
    with _lock:
        tick = _last_tick = max(tick, _last_tick + 1)
    millis, fraction = divmod(tick, 4096)
    return _pack(millis, fraction, secrets.randbits(62))


def checkpoint_id(*, run_id: str, millis: int, namespace: str, step: int) -> str:
    """The id of the checkpoint that `run_id` writes after superstep `step`: the same for the same
    arguments. `millis` is when the run was created, in milliseconds since 1970."""
    hashed = _hash(run_id, namespace, str(step)) & 0x3FFF_FFFF
    return str(_pack(millis, step >> 32 & 0xFFF, (step & 0xFFFF_FFFF) << 30 | hashed))


def millis(checkpoint_id: str) -> int:
    """When the run that wrote the checkpoint was created, in milliseconds since 1970."""
    return uuid.UUID(checkpoint_id).int >> 80


def task_id(*, run_id: str, checkpoint: str, path: str, node: str) -> str:
    """The id of one node invocation: the same when the same superstep of a run is executed
    again; another run that goes on from the same checkpoint has others."""
    return str(derived(run_id, checkpoint, path, node))


def derived(*parts: str) -> uuid.UUID:
    """An id that depends on `parts` alone (UUIDv8)."""
    bits = _hash(*parts) & ~(0xF << 76) & ~(0x3 << 62)
    return uuid.UUID(int=bits | _VERSION_8 | _VARIANT)


def _pack(millis: int, a: int, b: int) -> uuid.UUID:
    return uuid.UUID(int=(millis & (1 << 48) - 1) << 80 | _VERSION_7 | a << 64 | _VARIANT | b)


def _hash(*parts: str) -> int:
    # Length-prefixed, so that ("ab", "c") and ("a", "bc") differ.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")
