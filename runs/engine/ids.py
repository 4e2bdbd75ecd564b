"""Ids: UUIDv7 for what is created, and derived ones for what must come out the same again.

A derived checkpoint id has the layout of a UUIDv7 too, so that checkpoints sort by time as
strings: first the run's own millisecond, then the superstep, then a hash. The superstep takes as
many bits as it needs, after 6 that say how many these are; the hash has all others, 64 or more in
the first 16 supersteps (docs/decisions/0024-bits-of-checkpoint-ids.md).
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
import uuid
from functools import lru_cache

_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62
_LOW = (1 << 62) - 1
#: Of the 74 bits behind a checkpoint id's moment: those below the 6 for the size of its superstep.
_BELOW = 68
_STEPS = (1 << 44) - 1
_VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}

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


def checkpoint_id(
    *, run_id: str, millis: int, namespace: str, step: int, parent: str | None = None
) -> str:
    """The id of the checkpoint that `run_id` writes after superstep `step`: the same for the same
    arguments. `millis` is when the run was created, in milliseconds since 1970; a `parent` that
    says it is later than that is believed, since no checkpoint sorts before its parent."""
    moment, place = _run(run_id, millis, namespace)
    if parent is not None and parent[:13] > moment:
        moment = parent[:13]
    step &= _STEPS
    size = step.bit_length()
    room = _BELOW - size
    bits = size << _BELOW | step << room | place >> (74 - room)
    low = f"{bits & _LOW | _VARIANT:016x}"
    return f"{moment}-7{bits >> 62:03x}-{low[:4]}-{low[4:]}"


def millis(checkpoint_id: str) -> int:
    """When the run that wrote the checkpoint was created, in milliseconds since 1970."""
    return uuid.UUID(checkpoint_id).int >> 80


def task_id(run_id: str, checkpoint: str, path: str, node: str) -> str:
    """The id of one node invocation: the same when the same superstep of a run is executed
    again; another run that goes on from the same checkpoint has others."""
    # Only the last part may hold any sign, so that no two tasks are spelled alike.
    return _derived(f"{run_id}|{checkpoint}|{path}|{node}")


def derived(*parts: str) -> uuid.UUID:
    """An id that depends on `parts` alone (UUIDv8)."""
    return uuid.UUID(derived_text(*parts))


def derived_text(*parts: str) -> str:
    """`derived` as text, without the cost of a UUID object."""
    # Length-prefixed, so that ("ab", "c") and ("a", "bc") differ.
    return _derived("".join([f"{len(part)}:{part}" for part in parts]))


def _derived(text: str) -> str:
    h = _hash(text)
    return f"{h[:8]}-{h[8:12]}-8{h[13:16]}-{_VARIANTS[h[16]]}{h[17:20]}-{h[20:]}"


def _pack(millis: int, a: int, b: int) -> uuid.UUID:
    return uuid.UUID(int=(millis & (1 << 48) - 1) << 80 | _VERSION_7 | a << 64 | _VARIANT | b)


@lru_cache(1024)
def _run(run_id: str, millis: int, namespace: str) -> tuple[str, int]:
    """What all checkpoints of a run in a namespace begin with, and a hash of 74 bits."""
    moment = f"{millis & (1 << 48) - 1:012x}"
    place = int(_hash(f"{len(run_id)}:{run_id}{namespace}"), 16) >> 54
    return f"{moment[:8]}-{moment[8:]}", place


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
