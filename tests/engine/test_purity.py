"""The engine needs nothing but Python and its serialiser: importing it loads nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fastgraph_site.environment import BASE_DIR

SERIALISER = "orjson"


@pytest.mark.processes
def test_importing_the_engine_loads_the_standard_library_and_the_serialiser_alone() -> None:
    program = (
        "import sys; before = set(sys.modules); import runs.engine;"
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=BASE_DIR, capture_output=True, text=True, check=True
    )
    foreign = set(loaded.stdout.split()) - sys.stdlib_module_names
    assert foreign == {"runs", SERIALISER}
