"""Django's cache: in Redis when there is one, in memory otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fastgraph_site.environment import BASE_DIR


@pytest.mark.processes
@pytest.mark.parametrize(
    ("url", "backend"),
    [("redis://127.0.0.1:6379/9", "RedisCache"), ("", "LocMemCache")],
    ids=["redis", "none"],
)
def test_it_is_where_redis_url_says(url: str, backend: str) -> None:
    code = "from django.core.cache import caches; print(type(caches['default']).__name__)"
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "fastgraph_site.settings", "REDIS_URL": url}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=BASE_DIR, env=env, capture_output=True, text=True
    )
    assert (done.stdout.strip(), done.returncode) == (backend, 0), done.stderr
