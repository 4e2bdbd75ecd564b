"""The wake-up: a django-q2 job that says "there may be work" and is never the record of it.

Wake-ups lie under queue keys of their own, so that they can be counted without being unpacked:
one for work as such, one for that which is executed apart from all other (`leases`).
"""

from __future__ import annotations

from django.db import connections, transaction
from django.utils import timezone
from django_q.brokers import Broker
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.tasks import async_task

from runs.conf import conf
from runs.db import statements
from runs.db.compiled import CompiledQuery
from runs.notify import changes


def key(*, apart: bool = False) -> str:
    """The queue key of wake-ups."""
    return f"{Conf.CLUSTER_NAME}:wakeup{'-apart' * apart}"


def queued(*, apart: bool = False) -> bool:
    """Whether a wake-up lies in the queue that nobody has taken yet."""
    return bool((_QUEUED_APART if apart else _QUEUED).rows(1))


_QUEUED = CompiledQuery(lambda: OrmQ.objects.filter(key=key()).values_list("id"))
_QUEUED_APART = CompiledQuery(lambda: OrmQ.objects.filter(key=key(apart=True)).values_list("id"))


def ring(*, apart: bool = False) -> None:
    """Wake a worker, unless a wake-up is queued already. To be called inside the transaction that
    makes work: what it queues commits or rolls back with it.

    On Postgres the wake-up that is seen here may be taken before our transaction commits. That
    costs no run: a woken worker stays awake for a while, longer than a transaction takes, and the
    sweep rings again.
    """
    with transaction.atomic(using=Conf.ORM, savepoint=False):
        if not queued(apart=apart):
            statements.create(connections[Conf.ORM], OrmQ, [_job(apart)])
        changes.notify_workers()


def _job(apart: bool) -> OrmQ:
    pack = _Pack(key(apart=apart))
    async_task(
        conf().worker_job,
        apart,
        task_name="wake-up",
        broker=pack,
        timeout=-1,  # a worker stays awake as long as there is work
        save=False,  # no row in the table of results
        ack_failure=True,
    )
    return OrmQ(key=pack.list_key, payload=pack.payload, lock=timezone.now())


class _Pack(Broker):
    """Keeps a job, where django-q2's own broker would write it on a connection that it may close
    before."""

    payload = ""

    def __init__(self, list_key: str) -> None:
        self.list_key = list_key

    def enqueue(self, task: str) -> None:
        self.payload = task
