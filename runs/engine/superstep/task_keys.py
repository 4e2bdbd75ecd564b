"""Where a task is: in every run that goes on from its checkpoint, and in its thread."""

from __future__ import annotations

from runs.engine.checkpoint import Checkpoint, Frontier
from runs.engine.superstep.plan import Task


def place_of(task: Task, checkpoint: Checkpoint, around: str = "") -> str:
    """Which task of the superstep after `checkpoint` it is, in any run that goes on from there."""
    begun = around or checkpoint.frontier.origin or checkpoint.checkpoint_id
    kind, number = task.path
    return f"{begun}|{task.step}:{kind}:{number}:{task.node.name}"


def seat_of(name: str, path: tuple[int, str | int], frontier: Frontier, around: str) -> str:
    """The seat of the task of node `name`, among those that `frontier` leads to."""
    pushed, number = path
    before = 0
    if pushed and isinstance(number, int):
        before = sum(send.node == name for send in frontier.sends[:number])
        before += name in frontier.nodes
    seat = f"{name}::{before + 1}" if before else name
    return f"{around}|{seat}" if around else seat
