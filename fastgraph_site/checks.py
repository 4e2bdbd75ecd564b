"""Settings that nobody reads, as warnings of `manage.py check`."""

from __future__ import annotations

import difflib
import os
from typing import Any

from django.core.checks import CheckMessage, Warning, register

from fastgraph_site.environment import PREFIX, SETTINGS


@register()
def settings_are_known(**kwargs: Any) -> list[CheckMessage]:
    """fastgraph.W001: a variable with a slip in its name would be overlooked in silence."""
    known = [setting.name for setting in SETTINGS]
    unknown = sorted(
        name
        for name in os.environ
        if name.startswith(PREFIX)
        and name not in known
        and not name.startswith("FASTGRAPH_TEST_")  # the test suite has some of its own
    )
    return [
        Warning(
            f"There is no setting {name}: it changes nothing.",
            hint=f"Is {near[0]} meant?"
            if (near := difflib.get_close_matches(name, known))
            else "docs/settings.md lists all of them.",
            id="fastgraph.W001",
        )
        for name in unknown
    ]
