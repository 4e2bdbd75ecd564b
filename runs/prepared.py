"""Former names of `runs.db.compiled`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runs.db.compiled import CompiledLookup as One
from runs.db.compiled import CompiledQuery
from runs.rows import Ask

__all__ = ["One", "Prepared"]


class Prepared(CompiledQuery):
    """`CompiledQuery`."""

    def rows(self, limit: int, ask: Ask | None = None) -> list[Sequence[Any]]:
        return super().rows(limit)

    def compiled(self) -> Prepared:
        return self
