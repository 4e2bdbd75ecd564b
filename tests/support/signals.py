"""The suite does not depend on how it was started: what its parent ignores, it does not."""

from __future__ import annotations

import signal
from types import FrameType


def reset() -> None:
    """Undoes that the parent ignores SIGINT, SIGQUIT or SIGHUP, for this process and for those that
    it starts. A process that was started in the background inherits that, and Ctrl-C in a test
    would then mean nothing.

    After a hangup the suite itself goes on, as whoever uses `nohup` wants it: a signal with a
    handler has its default action again in a started program, and only there."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _go_on)


def _go_on(number: int, frame: FrameType | None) -> None: ...
