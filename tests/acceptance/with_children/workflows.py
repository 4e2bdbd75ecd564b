"""Nodes that start processes, in the way that the payload says. Each notes the pids in a file."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypedDict

from runs.engine import START, StateGraph, SyncContext
from runs.engine.errors import CallOver
from runs.workflows import register

LONG = 6000


class State(TypedDict, total=False):
    how: str
    path: str
    result: Any


def note(path: str, *pids: int) -> None:
    """Add pids to the file; also from a child, where `path` may be all that is known."""
    with open(path, "a") as file:
        file.write("".join(f"{pid}\n" for pid in pids))


def sit(path: str) -> None:
    """What the processes do."""
    note(path, os.getpid())
    time.sleep(LONG)


def fork(path: str, *, session: bool = False) -> int:
    pid = os.fork()
    if pid == 0:
        if session:
            os.setsid()
        sit(path)
    return pid


def daemonize(path: str) -> None:
    """A grandchild whose parent ends."""
    pid = os.fork()
    if pid == 0:
        fork(path)
        os._exit(0)
    os.waitpid(pid, 0)


def shell(path: str, **options: Any) -> subprocess.Popen[bytes]:
    """A shell that waits for a child."""
    script = f"echo $$ >> {path}; sleep {LONG} & echo $! >> {path}; wait"
    return subprocess.Popen(["sh", "-c", script], **options)


def deaf(path: str) -> int:
    """A process that takes no notice of SIGTERM."""
    return subprocess.call(["sh", "-c", f"trap '' TERM; echo $$ >> {path}; sleep {LONG}; sleep 1"])


def process(method: str) -> Callable[[str], None]:
    def start(path: str) -> None:
        context: Any = multiprocessing.get_context(method)
        child = context.Process(target=sit, args=(path,))
        child.start()
        child.join()

    return start


def one_after_the_other(path: str) -> None:
    """As a script does that looks at no exit code."""
    for _ in range(100):
        shell(path).wait()


WAITS: dict[str, Callable[[str], Any]] = {
    "subprocess": lambda path: shell(path).wait(),
    "one_after_the_other": one_after_the_other,
    "deaf": deaf,
    "system": lambda path: os.system(f"echo $$ >> {path}; sleep {LONG}; true"),
    "fork": lambda path: os.waitpid(fork(path), 0),
    "process_fork": process("fork"),
    "process_spawn": process("spawn"),
    "process_forkserver": process("forkserver"),
}


def wait(state: State) -> None:
    """Wait for a process that does not end."""
    WAITS[state["how"]](state["path"])


async def wait_async(state: State) -> None:
    script = f"echo $$ >> {state['path']}; sleep {LONG}; true"
    child = await asyncio.create_subprocess_exec("sh", "-c", script)
    await child.wait()


#: Made before the worker is forked, and shared by its calls.
POOL: ProcessPoolExecutor = ProcessPoolExecutor(1, multiprocessing.get_context("fork"))

LEAVES: dict[str, Callable[[str], Any]] = {
    "subprocess": shell,
    "fork": fork,
    "daemon": daemonize,
    "session": lambda path: fork(path, session=True),
    "new_session": lambda path: shell(path, start_new_session=True),
    "pool": lambda path: POOL.submit(sit, path),
}


def leave(state: State) -> State:
    """Start a process, and finish."""
    LEAVES[state["how"]](state["path"])
    return {"result": "finished"}


def fail(state: State) -> None:
    """Start a process, and fail when it runs."""
    LEAVES[state["how"]](state["path"])
    while not Path(state["path"]).exists():
        time.sleep(0.01)
    raise ValueError("after it had started a process")


def go_on(how: str, path: str) -> State:
    """Fork, and return in both."""
    os.fork()
    note(path, os.getpid())
    if how == "exit":
        sys.exit(3)
    if how == "raise":
        raise ValueError("in both")
    return {"result": "returned"}


def both(state: State) -> State:
    return go_on(state["how"], state["path"])


async def both_async(state: State) -> State:
    answer = go_on("", state["path"])
    if state["how"] == "awaits":
        await asyncio.sleep(0.2)
    return answer


def _square(number: int) -> int:
    return number * number


def _put(queue: Any) -> None:
    queue.put("hello")


def compute(state: State) -> State:
    """Everything that multiprocessing offers, with one start method."""
    context: Any = multiprocessing.get_context(state["how"])
    with context.Pool(2) as pool:
        squares = pool.map(_square, [1, 2, 3])
    with ProcessPoolExecutor(2, context) as executor:
        squares += executor.map(_square, [4, 5])
    queue = context.Queue()
    child = context.Process(target=_put, args=(queue,))
    child.start()
    said = queue.get(timeout=30)
    child.join()
    with context.Manager() as manager:
        shared = manager.dict(a=1)
        shared["b"] = 2
        return {"result": [*squares, said, child.exitcode, dict(shared)]}


def _invoke(queue: Any, ctx: SyncContext) -> None:
    try:
        ctx.step("refused", os.getpid)
    except CallOver:
        queue.put(INNER.invoke({"how": "sync"})["result"])


def invoke_in_child(state: State, ctx: SyncContext) -> State:
    """Run a graph in another process, where the context is of no use."""
    context: Any = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_invoke, args=(queue, ctx))
    child.start()
    answer = queue.get(timeout=30)
    child.join()
    return {"result": [answer, child.exitcode]}


async def compute_async(state: State) -> State:
    context: Any = multiprocessing.get_context(state["how"])
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(1, context) as executor:
        square = await loop.run_in_executor(executor, _square, 3)
    child = await asyncio.create_subprocess_exec("echo", "hi", stdout=asyncio.subprocess.PIPE)
    said, _ = await child.communicate()
    return {"result": [square, said.decode(), child.returncode]}


def _register(name: str, node: Any, **options: Any) -> None:
    graph = StateGraph(State).add_node(name, node, **options).add_edge(START, name)
    register(name, graph.compile(), input_schema={"type": "object"})


def inner(state: State) -> State:
    return {"result": os.getpid()}


INNER = StateGraph(State).add_node("inner", inner).add_edge(START, "inner").compile()

for node in (
    wait,
    wait_async,
    leave,
    fail,
    both,
    both_async,
    compute,
    compute_async,
    invoke_in_child,
):
    _register(node.__name__, node)
_register("timed", wait, timeout=1)
_register("timed_async", wait_async, timeout=1)
_register("both_atomic", both, atomic=True)
