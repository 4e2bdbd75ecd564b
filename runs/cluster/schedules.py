"""The schedules of the cluster: queues the jobs that are due.

django-q2's own scheduler keeps all due schedules in one transaction, and the first that raises
ends it for all of them. Here each schedule has a transaction of its own.
"""

from __future__ import annotations

import ast
import logging
from datetime import datetime
from typing import Any

from django.db import DataError, IntegrityError, router, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django_q.brokers import Broker
from django_q.conf import Conf
from django_q.models import Schedule
from django_q.tasks import async_task
from django_q.utils import localtime

from runs.db.errors import TRANSIENT

_log = logging.getLogger("fastgraph.jobs")

#: All missed times of a schedule are stepped through, in the process that keeps the cluster.
_MOST_MISSED = 1_000_000
#: Schedules at which the database had an error the last time. It may be their own fault.
_failed: set[int] = set()


def queue_due_schedules(broker: Broker) -> None:
    """Queue a job for each schedule of this cluster that is due, and set its next time. A schedule
    that cannot be kept is set aside (`repeats` is 0 then) with a line in the log. Raises the
    database's error when the database cannot be read or written; the rest stays due, and comes
    before that schedule the next time."""
    now = timezone.now()
    due = list(_due(now).order_by("next_run").values_list("pk", flat=True))
    _failed.intersection_update(due)
    for pk in sorted(due, key=_failed.__contains__):
        try:
            with transaction.atomic(using=router.db_for_write(Schedule)):
                # Again, now locked: another cluster may have been faster.
                schedule = _due(now).select_for_update().filter(pk=pk).first()
                if schedule is not None:
                    _keep(schedule, now, broker)
            _failed.discard(pk)
        except (DataError, IntegrityError) as error:  # the values' fault, not the database's
            _set_aside(pk, error)
        except TRANSIENT:
            _failed.add(pk)
            raise
        except Exception as error:  # the fields of a schedule may hold anything
            _set_aside(pk, error)


def _due(now: datetime) -> QuerySet[Schedule]:
    ours = Q(cluster=Conf.CLUSTER_NAME)
    if Conf.CLUSTER_NAME == Conf.PREFIX:
        ours |= Q(cluster__isnull=True)
    due: QuerySet[Schedule] = Schedule.objects.exclude(repeats=0).filter(ours, next_run__lt=now)
    return due


def _set_aside(pk: int, error: Exception) -> None:
    rows = Schedule.objects.filter(pk=pk)
    for name, function in rows.values_list("name", "func"):
        why = f"{type(error).__name__}: {error}"
        _log.error("Schedule %r of %r is set aside: %s", name or pk, function, why)
    rows.update(repeats=0)


def _keep(schedule: Schedule, now: datetime, broker: Broker) -> None:
    """Queue its job once, and save or delete it, as django-q2's scheduler does."""
    once = schedule.schedule_type == Schedule.ONCE
    args, kwargs = _arguments(schedule, broker)
    if not once:
        schedule.next_run = _next_run(schedule, now)
    schedule.task = async_task(schedule.func, *args, **kwargs)
    if once and schedule.repeats < 0:
        schedule.delete()
        return
    if once:
        schedule.repeats = 0
    elif schedule.repeats > 0:
        schedule.repeats -= 1
    else:
        schedule.repeats = -1
    schedule.save()


def _arguments(schedule: Schedule, broker: Broker) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What `async_task` is to be called with."""
    args = ast.literal_eval(schedule.args) if schedule.args else ()
    kwargs = _kwargs(schedule.kwargs or "")
    options = kwargs.get("q_options", {}) if isinstance(kwargs, dict) else None
    if not isinstance(kwargs, dict) or not isinstance(options, dict):
        raise TypeError("kwargs, and q_options in them, must be a dict")
    if "broker" in kwargs or "broker" in options:
        raise ValueError("a schedule may not name a broker")
    if schedule.intended_date_kwarg:
        kwargs[schedule.intended_date_kwarg] = schedule.next_run.isoformat()
    if schedule.hook:
        options["hook"] = schedule.hook
    named = options.pop("broker_name", None)
    options["cluster"] = schedule.cluster or options.get("cluster", named)
    if options["cluster"] in (None, Conf.CLUSTER_NAME):
        options["broker"] = broker
    options.setdefault("group", schedule.name or schedule.pk)
    kwargs["q_options"] = options
    return args if type(args) is tuple else (args,), kwargs


def _next_run(schedule: Schedule, now: datetime) -> datetime:
    """The time after this one; without `catch_up`, the first that is not past."""
    due = schedule.next_run
    step = schedule.calculate_next_run(due) - due
    if step.total_seconds() <= 0 or (now - due) / step > _MOST_MISSED:
        raise ValueError("the next time is never reached")
    following: datetime = due + step
    while not Conf.CATCH_UP and following <= localtime():
        following = schedule.calculate_next_run(following)
    return following


def _kwargs(text: str) -> Any:
    """As django-q2 reads them: a dict, or else keywords of a call; neither is no keywords."""
    if not text:
        return {}
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        pass
    try:
        call: Any = ast.parse(f"f({text})").body[0]
        return {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.value.keywords}
    except (SyntaxError, ValueError):
        return {}
