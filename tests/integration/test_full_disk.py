"""The admin on a full disk answers 503 and says so: it makes its user at the first request. SQLite
is full of the pages that it may have; on Postgres the connection raises the error of a full disk.
On a disk that is full for real: `tests/acceptance/test_disk_full.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import psycopg.errors
import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client

pytestmark = pytest.mark.django_db(transaction=True)


def refuse(execute: Callable[..., Any], sql: str, *call: Any) -> Any:
    if sql.startswith("INSERT"):
        raise OperationalError("could not extend file") from psycopg.errors.DiskFull()
    return execute(sql, *call)


@contextmanager
def full_pages() -> Iterator[None]:
    """There may be no page more than there are, and none of these has room."""
    with connection.cursor() as cursor:
        (most,) = cursor.execute("PRAGMA max_page_count").fetchone()
        cursor.execute("CREATE TABLE filler (data BLOB)")
        (pages,) = cursor.execute("PRAGMA page_count").fetchone()
        cursor.execute(f"PRAGMA max_page_count = {pages}")
        try:
            for size in (2**16, 2**12, 1):
                with pytest.raises(OperationalError, match="full"):
                    while True:
                        cursor.execute(f"INSERT INTO filler VALUES (zeroblob({size}))")
            with pytest.raises(OperationalError, match="full"):
                for n in count():  # there is room in the page of the users, too
                    User.objects.create(username=str(n))
            yield
        finally:
            cursor.execute(f"PRAGMA max_page_count = {most}")
            cursor.execute("DROP TABLE filler")


@pytest.fixture
def full() -> Any:
    """The block in which nothing can be stored."""
    return full_pages() if connection.vendor == "sqlite" else connection.execute_wrapper(refuse)


@pytest.mark.parametrize("path", ["/admin/", "/admin/runs/run/", "/admin/runs/run/add/"])
def test_a_page_of_the_admin_says_that_the_disk_is_full(full: Any, path: str) -> None:
    browser = Client(raise_request_exception=False, headers={"accept": "text/html"})
    with full:
        page = browser.get(path)
        assert page.status_code == 503
        assert "disk is full" in page.text
        assert page.headers["Retry-After"]
    assert not User.objects.filter(username="local").exists()
    assert browser.get("/admin/").status_code == 200
