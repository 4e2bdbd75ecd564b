"""What a socket may do to runs. Streaming itself only reads: the site hands this in."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from asgiref.typing import WebSocketScope


class Commands(Protocol):
    """Each does what the REST call of that name does, for the same user and with the same checks,
    and answers the status of the run after it. Problem when it cannot be done. Once it has begun
    it is done, also when the client leaves meanwhile."""

    async def cancel(self, asker: WebSocketScope, run_id: UUID, reason: object) -> str:
        """Cancel the run; `reason` is what the client gave."""
        ...

    async def resume(self, asker: WebSocketScope, run_id: UUID, answer: object) -> str:
        """Answer what the run waits for; `answer` is what the client gave."""
        ...
