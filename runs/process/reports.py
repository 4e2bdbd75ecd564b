"""Reports of processes for others that share the data folder: small files, which `why` and health
read. Each is written again and again while it holds, and not believed for long after that."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import orjson

from runs.conf import conf
from runs.process import processes

T = TypeVar("T")

#: How old a report may be that is still believed. Seconds.
STALE_SECONDS = 5.0


def own_process() -> str:
    """This process, as reports name it in their `process`."""
    return f"{socket.gethostname()}:{os.getpid()}"


def path_of(kind: str, more: str = "") -> Path:
    """The file for the reports of this process; with `more` one of several."""
    return folder_of(kind) / f"{socket.gethostname()}-{os.getpid()}{more}.json"


def folder_of(kind: str) -> Path:
    return conf().data_dir / kind


def publish(path: Path, found: Sequence[Any]) -> None:
    """Let others read these dataclasses, in place of those before; OSError when that fails."""
    if not found:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_bytes(orjson.dumps([asdict(one) for one in found]))
    fresh.rename(path)


def published(kind: str, report: type[T]) -> list[T]:
    """The reports of all processes, but for those of this host that have ended; none when the
    folder cannot be read: health says so, and must not fail."""
    found: list[Any] = []
    with suppress(OSError):
        for entry in os.scandir(folder_of(kind)):
            with suppress(OSError, ValueError, TypeError):
                if time.time() - entry.stat().st_mtime <= STALE_SECONDS:
                    said = orjson.loads(Path(entry.path).read_bytes())
                    found += [report(**one) for one in said]
    return [one for one in found if not _is_gone(one.process)]


def remove_stale(kind: str) -> None:
    """Remove the reports of processes that died, as far as that can be done."""
    with suppress(OSError):
        for entry in os.scandir(folder_of(kind)):
            with suppress(OSError):
                if time.time() - entry.stat().st_mtime > STALE_SECONDS:
                    os.unlink(entry)


def _is_gone(process: str) -> bool:
    host, _, pid = process.rpartition(":")
    return host == socket.gethostname() and processes.process_started(int(pid)) is None
