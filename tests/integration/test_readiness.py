"""What `serve` refuses, and that each refusal says what to do."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, OperationalError, connection, connections
from django.db.migrations.recorder import MigrationRecorder
from psycopg import errors

from fastgraph_site.server import readiness
from runs.management import database


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_is_listened_on(host: str) -> None:
    with readiness.listen(host, 0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address[:2]):
            pass


@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="not known to this system")
def test_the_system_takes_little_for_a_client_that_does_not_read() -> None:
    with readiness.listen("127.0.0.1", 0) as listener:
        with socket.create_connection(listener.getsockname()) as client:
            served, _ = listener.accept()
            with served:
                served.setblocking(False)
                taken = 0
                with pytest.raises(BlockingIOError):
                    while True:
                        taken += served.send(bytes(16 * 1024))
        assert client
    assert 0 < taken < 2**20  # megabytes otherwise


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_any_other_address_is_refused(host: str) -> None:
    with pytest.raises(CommandError, match=r"no logins yet.*--host 127\.0\.0\.1"):
        call_command("serve", host=host, skip_checks=True)


def test_an_unknown_host_is_refused() -> None:
    with pytest.raises(CommandError, match=r"not known.*Try 127"):
        readiness.listen("no-such-host.invalid", 8000)


@pytest.mark.parametrize("port", [-1, 65536])
def test_an_impossible_port_is_refused(port: int) -> None:
    with pytest.raises(CommandError, match="There is no port"):
        readiness.listen("127.0.0.1", port)


def test_a_port_in_use_is_refused() -> None:
    with (
        readiness.listen("127.0.0.1", 0) as listener,
        pytest.raises(CommandError, match=r"in use by another program.*--port"),
    ):
        readiness.listen("127.0.0.1", listener.getsockname()[1])


def test_daphne_is_not_asked_for_ipv6() -> None:
    with pytest.raises(CommandError, match="IPv4 only"):
        call_command("serve", host="::1", server="daphne", skip_checks=True)


@pytest.mark.processes
@pytest.mark.django_db
@pytest.mark.parametrize(
    "command",
    ["serve", "workers", "follow x", "replay_run x", "cancel_run x", "run_workflow steps"],
)
def test_a_database_without_all_migrations_is_refused(command: str) -> None:
    database.require_migrated()
    MigrationRecorder.Migration.objects.filter(app="runs").delete()
    options: dict[str, Any] = {"port": 0} if command == "serve" else {}
    with pytest.raises(CommandError, match=r"lacks \d+ of its migrations.*manage.py migrate"):
        call_command(*command.split(), skip_checks=True, **options)


@pytest.mark.django_db
def test_a_database_that_is_away_is_named() -> None:
    away = connections.create_connection("default")
    away.settings_dict = {
        **away.settings_dict,
        "NAME": "/no/such/folder/database",
        "HOST": "/no/such/folder",
    }
    with pytest.raises(CommandError, match=r"cannot be reached.*DATABASE_URL"):
        database.require_migrated(away)


def wrapped(kind: type[psycopg.Error]) -> OperationalError:
    """An error of Postgres' as Django raises it."""
    error = OperationalError("what it says")
    error.__cause__ = kind("what it says")
    return error


@pytest.mark.parametrize(
    "kind",
    [
        psycopg.OperationalError,  # no server has answered
        errors.ConnectionFailure,
        errors.InvalidPassword,
        errors.AdminShutdown,
        errors.CannotConnectNow,
        errors.TooManyConnections,
    ],
)
def test_a_server_that_lets_nobody_in_cannot_be_reached(kind: type[psycopg.Error]) -> None:
    assert "cannot be reached: what it says" in database.fault(wrapped(kind))


@pytest.mark.parametrize(
    "kind",
    [
        errors.LockNotAvailable,
        errors.DeadlockDetected,
        errors.QueryCanceled,
        errors.ProgramLimitExceeded,
    ],
)
def test_a_server_that_has_answered_was_reached(kind: type[psycopg.Error]) -> None:
    assert database.fault(wrapped(kind)) == ""


@pytest.mark.django_db
def test_migrations_that_cannot_be_read_are_no_server_that_is_away() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE django_migrations RENAME COLUMN app TO other")
    with pytest.raises(CommandError, match=r"does not say which migrations it has: .*app") as said:
        database.require_migrated()
    assert isinstance(said.value.__cause__, DatabaseError)


@pytest.mark.processes
@pytest.mark.django_db
def test_nothing_is_left_of_a_start_that_is_refused() -> None:
    """The web process loads while it is looked whether all is well."""
    MigrationRecorder.Migration.objects.filter(app="runs").delete()
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(CommandError, match="of its migrations"):
        call_command("serve", port=0, skip_checks=True)
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    if children.exists():  # Linux
        names = [Path(f"/proc/{pid}/cmdline").read_text() for pid in children.read_text().split()]
        assert not [name for name in names if "fastgraph_site.server.process" in name]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
