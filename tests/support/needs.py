"""What some tests need beside Python: found here, or reported with the reason.

Each function returns where the thing is, or raises `Missing`. The fixtures turn that into a skip;
with `CI=true` into a failure, so that nothing is left out unnoticed where everything is expected.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psycopg
import redis

MAC_CHROME = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"


class Missing(Exception):
    """The thing is not there; the message says what was tried."""


def on_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true"}


def postgres_url(database: str = "postgres") -> str:
    """A URL of `database` on the Postgres server at PGHOST (127.0.0.1), as PGUSER (postgres)."""
    user = os.environ.get("PGUSER", "postgres")
    password = os.environ.get("PGPASSWORD", "")
    host = os.environ.get("PGHOST", "127.0.0.1")
    port = os.environ.get("PGPORT", "5432")
    login = f"{user}:{password}" if password else user
    base = f"postgres://{login}@{host}:{port}"
    try:
        psycopg.connect(f"{base}/postgres", connect_timeout=3).close()
    except psycopg.OperationalError as error:
        raise Missing(f"no Postgres at {host}:{port} for {user}: {error}") from error
    return f"{base}/{database}"


def redis_url() -> str:
    """The URL of a Redis server: REDIS_URL, or the one on this machine (its database 9)."""
    url = os.environ.get("REDIS_URL") or "redis://127.0.0.1:6379/9"
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=3) as client:
            client.ping()
    except redis.RedisError as error:
        raise Missing(f"no Redis at {url}: {error}") from error
    return url


def redis_server() -> str:
    """The path of a redis-server, for tests that kill one of their own."""
    if found := shutil.which("redis-server"):
        return found
    raise Missing("no redis-server on this machine")


def chromium() -> str:
    """The path of a Chromium or Chrome that Playwright can drive."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    if Path(MAC_CHROME).exists():
        return MAC_CHROME
    raise Missing("no chromium, chromium-browser or google-chrome on this machine")
