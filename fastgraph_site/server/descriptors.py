"""Open files of the web process: each connection is one."""

from __future__ import annotations

import logging
import resource
from contextlib import suppress

logger = logging.getLogger(__name__)

#: For the database, the log, pipes, static files, and connections over the limit.
OTHERS = 512


def allow_connections(wanted: int) -> int:
    """Raise this process's limit of open files as far as `wanted` connections need it. Returns how
    many connections it can have; logs a warning when that is fewer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OTHERS
    if _at_least(soft, needed):
        return wanted
    raised = needed if _at_least(hard, needed) else hard
    with suppress(OSError, ValueError):  # some systems have a limit below the one they name
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if _at_least(soft, needed):
        return wanted
    possible = max(soft - OTHERS, soft // 2, 1)
    if possible >= wanted:
        return wanted
    logger.warning(
        "This process may open %s files, so it takes %s connections at the same time, and not %s"
        " (FASTGRAPH_MAX_CONNECTIONS). Start the server after `ulimit -n %s` (in a systemd unit:"
        " LimitNOFILE=%s), which may need root, or lower the setting.",
        soft,
        possible,
        wanted,
        needed,
        needed,
    )
    return possible


def _at_least(limit: int, needed: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= needed
