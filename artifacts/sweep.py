"""Deleting bytes that no artifact refers to: what crashes, deleted runs and replaced artifacts
leave behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path

from artifacts.models import Artifact
from artifacts.store import FileStore, store

_BATCH = 500


@dataclass(frozen=True, kw_only=True)
class Orphan:
    """A file of the store that no row refers to, last written longer ago than was asked."""

    path: Path
    size: int


@dataclass(frozen=True, kw_only=True)
class Swept:
    files: int
    bytes: int


def orphans(older_than: timedelta, *, within: FileStore | None = None) -> Iterator[Orphan]:
    """The orphans of the store, half-written files included. One query per 500 files."""
    files = (within or store()).files()
    before = time.time() - older_than.total_seconds()
    while batch := list(islice(files, _BATCH)):
        used = set(
            Artifact.objects.filter(sha256__in=[path.name for path in batch]).values_list(
                "sha256", flat=True
            )
        )
        for path in batch:
            if path.name in used:
                continue
            try:
                stat = path.lstat()
            except FileNotFoundError:
                continue  # another sweep was first
            if stat.st_mtime < before:
                yield Orphan(path=path, size=stat.st_size)


def sweep_orphans(older_than: timedelta, *, within: FileStore | None = None) -> Swept:
    """Delete the orphans. `older_than` must be longer than any node takes from writing an
    artifact to the end of its superstep: until then its bytes have no row."""
    where = within or store()
    before = time.time() - older_than.total_seconds()
    files = size = 0
    for orphan in orphans(older_than, within=where):
        if where.delete_if_older(orphan.path, before):
            files += 1
            size += orphan.size
    return Swept(files=files, bytes=size)
