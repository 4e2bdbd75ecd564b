"""A process of another host, frozen in the middle of a transaction: nobody here can end it, and
what it has locked is free all the same when its lease is over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from runs.db import idle_timeout, locking
from runs.engine.ids import uuid7
from runs.models import Event, Run, Thread, Worker
from runs.operations.cancel import cancel_run
from runs.process import processes
from runs.scheduling import claims, recovery
from tests.support.processes import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

LEASE = 1.0


@pytest.fixture(autouse=True)
def only_on_postgres() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite is used by one host, which ends its frozen workers")


@contextmanager
def frozen(how: str, run: Run) -> Iterator[subprocess.Popen[str]]:
    """A process that has the run's row locked, and is stopped."""
    url = os.environ["DATABASE_URL"].rpartition("/")[0]
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "fastgraph_site.settings",
        "DATABASE_URL": f"{url}/{connection.settings_dict['NAME']}",
        "FASTGRAPH_LEASE_SECONDS": str(LEASE),
    }
    command = [sys.executable, "-m", "tests.integration.frozen", how, str(run.pk)]
    with subprocess.Popen(
        [*command, str(run.thread_id)],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said == "locked\n", process.communicate()[1]
            process.send_signal(signal.SIGSTOP)
            wait_until("it is stopped", lambda: processes.stopped(process.pid))
            yield process
        finally:
            process.kill()


def is_locked(run: Run) -> bool:
    with transaction.atomic():
        return not locking.lock_available(Run.objects.filter(pk=run.pk))


@pytest.mark.processes
@pytest.mark.parametrize("how", ["hold", "transact"])
def test_it_holds_up_nobody_and_is_fenced(settings: Settings, how: str) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "lease_seconds": LEASE}
    run = Run.objects.create(thread=Thread.objects.create(), workflow="any", payload={})
    elsewhere = Worker.objects.create(host="another", pid=os.getpid(), process_started="x")
    assert len(claims.claim(elsewhere.pk, 1)) == 1
    with frozen(how, run) as process:
        wait_until("what it had locked is free", lambda: not is_locked(run))
        assert processes.stopped(process.pid)
        assert recovery.sweep(timezone.now() + timedelta(seconds=2 * LEASE)).recovered == 1
        (again,) = claims.claim(uuid7(), 1)
        assert again.lease.attempt == 2
        assert cancel_run(run.pk).cancel_requested_at is not None  # which waits for no lock
        process.send_signal(signal.SIGCONT)
        said, complaints = process.communicate("go on\n", timeout=30)
        assert said == "fenced\n", complaints
    assert list(Event.objects.filter(run=run, name="late")) == []


def test_only_our_own_threads_are_limited(settings: Settings) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "lease_seconds": LEASE}

    def limit() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SHOW idle_in_transaction_session_timeout")
            return str(cursor.fetchone()[0])

    assert limit() == "0", "a node's thread, and a command's"
    try:
        idle_timeout.enable_for_thread()
        assert limit() == "1s"
        connection.close()
        assert limit() == "1s", "also of a new connection"
    finally:
        idle_timeout.disable_for_thread()
        connection.close()
    assert limit() == "0"
