"""Tests of the first tier do not wait for real time, but for those that are listed."""

from __future__ import annotations

import ast

import pytest

from tests.gates.real_time import LIST, found, listed, waits


def test_no_test_of_the_first_tier_waits_for_real_time() -> None:
    more = {path: lines for path, lines in found().items() if len(lines) > listed().get(path, 0)}
    assert not more, "wait for something that the test controls, or mark it `processes`"


def test_the_list_only_shrinks() -> None:
    there = found()
    mended = {path: n for path, n in listed().items() if len(there.get(path, ())) < n}
    assert not mended, f"run python -m tests.gates.real_time --update, and commit {LIST.name}"


@pytest.mark.parametrize(
    "code",
    [
        "import time\ntime.sleep(0.1)",
        "from time import sleep as nap\nnap(1)",
        "import asyncio\nasync def f(): await asyncio.sleep(0.1)",
        "import asyncio\nasync def f(): await asyncio.sleep(SECONDS)",
        "import time\nassert time.monotonic() - begin < 3",
        "import time\nwhile begin + 5 > time.time(): pass",
        "import time\nclass C:\n    def f(self): time.sleep(1)",
    ],
)
def test_it_is_found(code: str) -> None:
    assert list(waits(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "import asyncio\nasync def f(): await asyncio.sleep(0)",
        "import time\nbegin = time.monotonic()",
        "import time\n@pytest.mark.processes\ndef f(): time.sleep(1)",
        "import time\npytestmark = [pytest.mark.processes]\ndef f(): time.sleep(1)",
        "ctx.sleep(30)",
    ],
)
def test_it_is_not_found_where_nobody_waits(code: str) -> None:
    assert not list(waits(ast.parse(code)))
