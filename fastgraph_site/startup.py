"""Loading the settings and the apps for a command: a mistake in either is one sentence."""

from __future__ import annotations

import sys

import django
from django.core.exceptions import ImproperlyConfigured

#: The exit code of a command that was not begun.
MISCONFIGURED = 2


def load() -> None:
    """Make Django ready, or end the process with the sentence that says what to change."""
    try:
        django.setup()
    except ImproperlyConfigured as error:
        print(f"FastGraph cannot start: {error}", file=sys.stderr)
        sys.exit(MISCONFIGURED)
