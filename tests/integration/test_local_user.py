"""The local user, until logins exist"""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from fastgraph_site.web.local_user import is_loopback, local_user
from tests.site.proxies import FORWARDING

pytestmark = pytest.mark.django_db


def test_the_admin_works_at_once() -> None:
    answer = Client().get("/admin/")

    assert answer.status_code == 200
    user = User.objects.get()
    assert (user.username, user.is_superuser, user.is_staff) == ("local", True, True)
    assert not user.has_usable_password()


def test_a_request_that_does_not_ask_costs_no_query() -> None:
    with CaptureQueriesContext(connection) as queries:
        assert Client().get("/api/").status_code == 200

    assert len(queries) == 0


def test_who_is_logged_in_stays_so() -> None:
    alice = User.objects.create_user("alice", is_staff=True)
    client = Client()
    client.force_login(alice)

    assert b"alice" in client.get("/admin/").content
    assert User.objects.count() == 1


def test_it_can_be_switched_off() -> None:
    Client().get("/admin/")
    User.objects.update(is_active=False)

    assert Client().get("/admin/").status_code == 302


@pytest.mark.parametrize("path", ["/admin/", "/api/runs/"])
@pytest.mark.parametrize("header", FORWARDING)
def test_a_forwarded_request_is_refused(path: str, header: str) -> None:
    answer = Client(headers={header: "for=192.0.2.1"}).get(path)

    assert answer.status_code == 403
    assert answer.json()["code"] == "not_local"
    assert header.lower() in answer.json()["detail"].lower()
    assert User.objects.count() == 0


@pytest.mark.parametrize("peer", ["192.0.2.1", "2001:db8::1", "", "unknown"])
def test_another_machine_is_refused(peer: str) -> None:
    assert Client(REMOTE_ADDR=peer).get("/admin/").status_code == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_a_server_on_another_address_answers_nobody(settings: Any, host: str) -> None:
    settings.HOST = host

    assert Client().get("/api/runs/").status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.django_db(transaction=True)
def test_two_first_requests_get_the_same_user() -> None:
    together, found = threading.Barrier(8), []

    def ask() -> None:
        together.wait()
        found.append(local_user().pk)
        connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len(set(found)) == 1
    assert User.objects.count() == 1
