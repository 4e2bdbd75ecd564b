"""The engine needs nothing but Python: importing it loads no framework and no database driver."""

from __future__ import annotations

import subprocess
import sys

from fastgraph_site.environment import BASE_DIR

FOREIGN = {"asgiref", "channels", "django", "django_q", "psycopg", "redis", "rest_framework"}


def test_importing_the_engine_loads_nothing_foreign() -> None:
    program = "import runs.engine, sys; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=BASE_DIR, capture_output=True, text=True, check=True
    )
    assert not FOREIGN & set(loaded.stdout.split())
