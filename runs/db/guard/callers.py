"""Who is calling: which node's code runs on which thread of this process at the moment."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from runs.engine.execution.task.task_call import TaskCall


@dataclass(slots=True)
class Caller:
    """The node that user code belongs to. Without a `node` it is code of a run outside its nodes,
    such as a router of START; without a `run_id`, code of no run. `memo` is the node's call, if it
    may still go on."""

    run_id: str = ""
    workflow: str = ""
    node: str = ""
    memo: TaskCall | None = None

    def __str__(self) -> str:
        who = f"Node {self.node!r}" if self.node else "User code outside a node"
        return f"{who} of run {self.run_id} ({self.workflow})" if self.run_id else who


_calls: dict[int, Caller] = {}


def begin(caller: Caller) -> bool:
    """`caller` calls on this thread. True when a call is in progress here already: it stays the
    one that is known."""
    thread = threading.get_ident()
    nested = thread in _calls
    if not nested:
        _calls[thread] = caller
    return nested


def end(nested: bool) -> None:
    """The call that `begin` answered `nested` for is over."""
    if not nested:
        _calls.pop(threading.get_ident(), None)


def here() -> Caller | None:
    """Whose call is in progress on this thread."""
    return _calls.get(threading.get_ident())


def on_thread(ident: int) -> Caller | None:
    """Whose call is in progress on the thread with that identifier."""
    return _calls.get(ident)


def at_work() -> list[Caller]:
    """The nodes whose calls are in progress on the threads of this process."""
    return [caller for caller in list(_calls.values()) if caller.node]


def runs_at_work() -> set[str]:
    """The runs whose calls are in progress on the threads of this process."""
    return {caller.run_id for caller in list(_calls.values())}
