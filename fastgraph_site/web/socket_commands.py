"""What a socket may do to runs, as REST would do it for the same user."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TypeVar
from uuid import UUID

from asgiref.typing import WebSocketScope
from django.conf import settings
from django.contrib.auth import get_user
from django.db import close_old_connections
from django.http import HttpRequest, parse_cookie

from fastgraph_site.web.local_user import user_of
from runs.db.errors import TRANSIENT, explain, is_transient
from runs.db.threads import DatabaseThreads
from runs.engine import Command
from runs.errors import Problem
from runs.operations import resume as operations_resume
from runs.operations.cancel import cancel_run
from runs.validation import value_faults

T = TypeVar("T")

THREADS = 2


class SocketCommands:
    """Carries out what the clients of sockets ask for, in threads of its own. The guard has seen
    each socket when it was opened: its origin is ours, or no browser's."""

    def __init__(self) -> None:
        self._threads = DatabaseThreads("commands", THREADS)

    async def cancel(self, asker: WebSocketScope, run_id: UUID, reason: object) -> str:
        return await self._threads.run(_answered, lambda: _cancel(asker, run_id, reason))

    async def resume(self, asker: WebSocketScope, run_id: UUID, answer: object) -> str:
        return await self._threads.run(_answered, lambda: _resume(run_id, answer))

    async def close(self) -> None:
        """Close the threads' database connections and end the threads."""
        await self._threads.close()


def _cancel(asker: WebSocketScope, run_id: UUID, reason: object) -> str:
    # `cancel_run` refuses a reason that is no text.
    run = cancel_run(run_id, by=who(asker), reason=reason)  # type: ignore[arg-type]
    return str(run.status)


def _resume(run_id: UUID, answer: object) -> str:
    if faults := value_faults(answer, "/resume"):
        first = faults[0]
        detail = f"The answer cannot be stored: at {first['at']}: {first['detail']}"
        raise Problem(422, "invalid", detail, faults)
    return str(operations_resume.resume_run(run_id, Command(resume=answer)).status)


def _answered(act: Callable[[], T]) -> T:
    """In the thread: what `act` answers; Problem 503 when the database does not."""
    close_old_connections()  # one that the database has closed meanwhile
    try:
        return act()
    except TRANSIENT as error:
        if not is_transient(error):
            raise
        waiting = "The database does not answer at the moment. Try again in a few seconds."
        detail = explain(error) or waiting
        raise Problem(503, "database_unavailable", detail) from None
    finally:
        close_old_connections()


def who(asker: WebSocketScope) -> str:
    """The name of the user that a request from the same page would have."""
    sent = b"; ".join(value for name, value in asker["headers"] if name.lower() == b"cookie")
    key = parse_cookie(sent.decode("latin-1")).get(settings.SESSION_COOKIE_NAME)
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    return user_of(get_user(request)).get_username()
