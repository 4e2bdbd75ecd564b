"""Graphs that people write, told once for both libraries: one module per subject."""

from tests.engine.differential.tales import (
    choices,
    edits,
    forks,
    memories,
    nested,
    questions,
    routers,
    ways,
    writes,
)
from tests.engine.differential.tales.words import TALES

__all__ = [
    "TALES",
    "choices",
    "edits",
    "forks",
    "memories",
    "nested",
    "questions",
    "routers",
    "ways",
    "writes",
]
