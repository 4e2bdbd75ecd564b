"""Where tests of the first tier wait for real time: `time.sleep`, `asyncio.sleep` of more than 0,
and comparisons with a clock. The list of those that still do may only shrink.

`python -m tests.gates.real_time` prints each place; with `--update` it takes what is mended off the
list.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from fastgraph_site.environment import BASE_DIR
from tests.support.tiers import FOLDERS

LIST = Path(__file__).with_suffix(".txt")
#: What is no test of ours of the first tier, and the parts that keep deadlines for tests.
ELSEWHERE = {*FOLDERS, "gates", "langgraph_suite", "support", "upgrades"}
CLOCKS = {"time.time", "time.monotonic", "time.perf_counter", "time.monotonic_ns", "time.time_ns"}


def found() -> dict[str, list[int]]:
    """Per file the lines that wait for real time."""
    tests = BASE_DIR / "tests"
    lines = {}
    for path in sorted(tests.rglob("*.py")):
        here = path.relative_to(tests).parts[0] not in ELSEWHERE
        if here and (at := list(waits(ast.parse(path.read_text())))):
            lines[str(path.relative_to(BASE_DIR))] = at
    return lines


def waits(module: ast.Module) -> Iterator[int]:
    """The lines of a module that wait for real time, but for those of the second tier."""
    names = dict(_imported(module))
    if not any(_marks(node) for node in module.body if isinstance(node, ast.Assign)):
        yield from _waits(module, names)


def _waits(node: ast.AST, names: Mapping[str, str]) -> Iterator[int]:
    for child in ast.iter_child_nodes(node):
        if any(map(_marks, getattr(child, "decorator_list", ()))):
            continue
        if isinstance(child, ast.expr) and (_sleeps(child, names) or _asks_a_clock(child, names)):
            yield child.lineno
        else:
            yield from _waits(child, names)


def _sleeps(node: ast.AST, names: Mapping[str, str]) -> bool:
    if not isinstance(node, ast.Call):
        return False
    match _name(node.func, names):
        case "time.sleep":
            return True
        case "asyncio.sleep":
            seconds = node.args[0] if node.args else None
            return not (isinstance(seconds, ast.Constant) and seconds.value == 0)
    return False


def _asks_a_clock(node: ast.AST, names: Mapping[str, str]) -> bool:
    calls = (part for part in ast.walk(node) if isinstance(part, ast.Call))
    return isinstance(node, ast.Compare) and any(
        _name(call.func, names) in CLOCKS for call in calls
    )


def _name(function: ast.expr, names: Mapping[str, str]) -> str:
    if isinstance(function, ast.Name):
        return names.get(function.id, function.id)
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        return f"{names.get(function.value.id, function.value.id)}.{function.attr}"
    return ""


def _imported(module: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((alias.asname or alias.name, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _marks(node: ast.AST) -> bool:
    """Whether a decorator or an assignment to `pytestmark` is of the second tier."""
    return any(
        isinstance(part, ast.Attribute) and part.attr == "processes" for part in ast.walk(node)
    )


def listed() -> dict[str, int]:
    """Per file how many places the list still allows."""
    rows = (line.split() for line in LIST.read_text().splitlines() if not line.startswith("#"))
    return {path: int(count) for path, count in rows}


def main(arguments: list[str]) -> int:
    """Prints every place; 1 when one is not on the list."""
    places, allowed = found(), listed()
    for path, lines in places.items():
        for line in lines:
            print(f"{path}:{line}")
    if "--update" in arguments:
        left = {path: min(len(places.get(path, ())), n) for path, n in allowed.items()}
        head = LIST.read_text().splitlines()[0]
        LIST.write_text("\n".join([head, *(f"{p} {n}" for p, n in left.items() if n)]) + "\n")
    return int(any(len(lines) > allowed.get(path, 0) for path, lines in places.items()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
