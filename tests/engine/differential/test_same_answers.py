"""Graphs that are told once give the same answers here and in LangGraph: values, their order,
questions, what runs next, and the class of errors."""

from __future__ import annotations

import pytest

from tests.engine.differential.libs import OURS, THEIRS, Tale, tell
from tests.engine.differential.tales import TALES


@pytest.mark.parametrize("tale", TALES.values(), ids=TALES)
async def test_the_same_answers(tale: Tale) -> None:
    assert await tell(OURS, tale) == await tell(THEIRS, tale)
