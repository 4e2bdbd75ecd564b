"""The settings under test: the product's own, with a data folder outside the source tree.

The environment is filled before the product's settings are read, so that a developer's `.env`
file never reaches a test.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from fastgraph_site.environment import SETTINGS

ROOT_VARIABLE = "FASTGRAPH_TEST_ROOT"


def _root() -> Path:
    """One folder a test session: made and removed by its first process, shared with the workers
    of pytest-xdist, which inherit its name."""
    if ROOT_VARIABLE not in os.environ:
        folder = tempfile.mkdtemp(prefix="fastgraph-tests-")
        os.environ[ROOT_VARIABLE] = folder
        owner = os.getpid()

        def remove() -> None:
            if os.getpid() == owner:  # a forked child must not remove its parent's folder
                shutil.rmtree(folder, ignore_errors=True)

        atexit.register(remove)
    return Path(os.environ[ROOT_VARIABLE])


def _as_text(default: object) -> str:
    return ",".join(default) if isinstance(default, list) else str(default)


TEST_ROOT = _root()
os.environ["FASTGRAPH_DATA_DIR"] = str(TEST_ROOT / os.environ.get("PYTEST_XDIST_WORKER", "main"))
for setting in SETTINGS:
    os.environ.setdefault(setting.name, _as_text(setting.default))

from fastgraph_site.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
