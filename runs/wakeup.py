"""The wake-up: a django-q2 job that says "there may be work" and is never the record of it.

Wake-ups lie under a queue key of their own, so that they can be counted without being unpacked.
"""

from __future__ import annotations

from django.db import transaction
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.tasks import async_task

from runs import doorbell
from runs.conf import conf


def key() -> str:
    """The queue key of wake-ups."""
    return f"{Conf.CLUSTER_NAME}:wakeup"


def queued() -> bool:
    """Whether a wake-up lies in the queue that nobody has taken yet."""
    return bool(OrmQ.objects.using(Conf.ORM).filter(key=key()).exists())


def ring() -> None:
    """Wake a worker, unless a wake-up is queued already. To be called inside the transaction that
    makes work: what it queues commits or rolls back with it.

    On Postgres the wake-up that is seen here may be taken before our transaction commits. That
    costs no run: a woken worker stays awake for a while, and the sweep rings again.
    """
    with transaction.atomic(using=Conf.ORM, savepoint=False):
        if not queued():
            async_task(
                conf().worker_job,
                task_name="wake-up",
                broker=get_broker(key()),
                timeout=-1,  # a worker stays awake as long as there is work
                save=False,  # no row in the table of results
                ack_failure=True,
            )
        doorbell.announce(doorbell.CHANNEL)
