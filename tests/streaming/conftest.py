"""What every test of streams needs: a database that other connections see, and a hub that ends."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from streaming.hub import hub


@pytest.fixture(autouse=True)
async def _hub_ends(transactional_db: None) -> AsyncIterator[None]:
    yield
    await hub.close()
