"""Whether this process is asked to stop: how a job that runs for long learns of it.

django-q2 tells its workers nothing; they would only be waited for. The cluster arms this module
before it forks, so that every worker has the flag.
"""

from __future__ import annotations

import time

from runs.process.shared_flag import Flag

_flag: Flag | None = None


def arm(flag: Flag) -> None:
    """Let `stopping` and `wait` follow `flag`; to be called before the fork."""
    global _flag
    _flag = flag


def stopping() -> bool:
    """True from the moment the cluster is asked to stop: begin nothing new, put down what is held
    and return. Whoever has not returned within the grace period is killed. False outside a
    cluster."""
    return _flag is not None and _flag.is_set()


def wait(seconds: float) -> bool:
    """Sleep `seconds`, less if the cluster is asked to stop meanwhile: then True."""
    if _flag is None:
        time.sleep(seconds)
        return False
    return _flag.wait(seconds)
