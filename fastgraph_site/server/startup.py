"""What stands around every command: a mistake in the settings or in an app, and a database that
does not answer, are one sentence and an exit code that is not 0."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line, get_commands
from django.core.management.base import CommandError

#: The exit code of a command that was not begun.
MISCONFIGURED = 2

_DJANGO = os.path.join(os.path.dirname(django.__file__), "")
#: The parts of Django that call the code of apps while a command is carried out. The last one sends
#: `pre_migrate` and `post_migrate`.
_PARTS = (("core", "checks"), ("db", "migrations"), ("core", "management", "sql.py"))
_CALLERS = tuple(_DJANGO + os.path.join(*part) for part in _PARTS)
#: The packages whose commands use the database of DATABASE_URL: Django, its ASGI server, and ours.
_PACKAGES = ("django", "daphne", "fastgraph_site", "runs", "artifacts", "streaming")


class ExitRefusedError(ImproperlyConfigured):
    """The code of an app has ended the process, or was about to."""


def load() -> None:
    """Make Django ready, or end the process with the sentence that says what to change."""
    try:
        with refusing_exits():
            django.setup()
    except ImproperlyConfigured as error:
        _end(MISCONFIGURED, f"FastGraph cannot start: {error}")


def execute(arguments: Sequence[str]) -> None:
    """Carry out a command line, once Django is loaded. An exit of an app's check or migration ends
    the process with a sentence. So does a database that is damaged or away, unless the command is
    one of the user's, which may use another."""
    from runs.db.errors import TRANSIENT  # these once Django is set up
    from runs.management.database import fault

    try:
        with refusing_exits(_is_of_an_app):
            execute_from_command_line(list(arguments))
    except ExitRefusedError as error:
        _end(MISCONFIGURED, f"{' '.join(arguments[:2])} was not carried out: {error}")
    except TRANSIENT as error:
        if "--traceback" in arguments or not _is_own(arguments) or not (why := fault(error)):
            raise
        _end(1, f"{CommandError.__name__}: {why}")


def _is_own(arguments: Sequence[str]) -> bool:
    """Whether the command is of Django or of this project."""
    app = get_commands().get(arguments[1], "") if len(arguments) > 1 else ""
    return app.split(".")[0] in _PACKAGES


def _end(code: int, why: str) -> None:
    print(why, file=sys.stderr)
    sys.exit(code)


@contextmanager
def refusing_exits(refused: Callable[[list[FrameType]], bool] = bool) -> Iterator[None]:
    """ExitRefusedError when the code of an app ends the process (`sys.exit()`), which would look as
    if all was well. `refused` is asked with the calls that led to the exit, if not all are."""
    try:
        yield
    except SystemExit as error:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        if not refused(frames):
            raise
        *_, last = traceback.extract_tb(error.__traceback__)
        raise ExitRefusedError(
            f"an app ends the process while it is loaded or checked: SystemExit({error.code!r}) in "
            f"{last.filename}, line {last.lineno}. Raise ImproperlyConfigured there, with a "
            "sentence, or take the call out."
        ) from error


def _is_of_an_app(frames: list[FrameType]) -> bool:
    """Whether it was no command that ended the process, but what Django has called for one."""
    files = [frame.f_code.co_filename for frame in frames]
    called = any(file.startswith(_CALLERS) for file in files)
    return called and not files[-1].startswith(_DJANGO)
