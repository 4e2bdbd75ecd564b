"""Misconfiguration that would show up late and oddly, as numbered errors of `manage.py check`."""

from __future__ import annotations

import os
import pydoc
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections, router
from django.utils.module_loading import import_string
from django_q.models import Schedule

from runs.cluster import jobs
from runs.conf import conf
from runs.db.dialect import dialect, unsupported


@register()
def database_is_supported(**kwargs: Any) -> list[CheckMessage]:
    """runs.E001 and E002: the claim, the journal and the hub are written for two databases, and
    SQLite fails under load without IMMEDIATE ("database is locked")."""
    connection = connections["default"]
    if why := unsupported(connection):
        hint = "Give DATABASE_URL a postgres:// or sqlite:/// address, or leave it empty."
        return [Error(why, hint=hint, id="runs.E001")]
    return dialect(connection).issues(settings.DATABASES["default"])


@register(Tags.database)
def database_is_sound(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """runs.E003: SQLite without a write-ahead log. Asked with `check --database` and `migrate`."""
    connection = connections["default"]
    if "default" not in (databases or ()) or unsupported(connection):
        return []
    return dialect(connection).live_issues(connection)


@register()
def data_folder_is_writable(**kwargs: Any) -> list[CheckMessage]:
    """runs.E004"""
    folder = conf().data_dir
    if folder.is_dir() and os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return []
    return [
        Error(
            f"The data folder {folder} cannot be written to.",
            hint="Make it a folder of the user who runs the server, or set FASTGRAPH_DATA_DIR.",
            id="runs.E004",
        )
    ]


@register()
def queue_waits_longer_than_jobs(**kwargs: Any) -> list[CheckMessage]:
    """runs.E005: a job that may run longer than `retry` is started a second time meanwhile."""
    timeout, retry = settings.Q_CLUSTER.get("timeout"), settings.Q_CLUSTER.get("retry", 60)
    if timeout is None or retry > timeout:
        return []
    return [
        Error(
            f"django-q2 starts a job again after {retry} s, though it may run for {timeout} s.",
            hint="Make Q_CLUSTER['retry'] larger than Q_CLUSTER['timeout'].",
            id="runs.E005",
        )
    ]


@register()
def worker_job_can_be_imported(**kwargs: Any) -> list[CheckMessage]:
    """runs.E006: or else every wake-up fails in the queue, and every run waits for ever."""
    path = conf().worker_job
    try:
        if callable(import_string(path)):
            return []
        reason = "it is not a function"
    except ImportError as error:
        reason = str(error)
    return [
        Error(
            f"The job that executes runs, {path!r}, cannot be used: {reason}.",
            hint="FASTGRAPH['worker_job'] is the dotted path of a function without arguments.",
            id="runs.E006",
        )
    ]


@register()
def jobs_can_be_imported(**kwargs: Any) -> list[CheckMessage]:
    """runs.E009: a declared job that is none would fail each time, and only in the log."""
    return [
        Error(
            f"FASTGRAPH_JOBS names {path!r}, which cannot be used: {reason}.",
            hint="Name a function by its dotted path, as in `shop.jobs.send_invoices`.",
            id="runs.E009",
        )
        for path in conf().jobs
        if (reason := _why_no_job(path.strip()))
    ]


def _why_no_job(path: str) -> str:
    try:
        found = pydoc.locate(path)  # as django-q2 does
    except pydoc.ErrorDuringImport as error:
        return f"{error}".strip()
    if found is None:
        return "there is no such function"
    return "" if callable(found) and not isinstance(found, type) else "it is no function"


@register(Tags.admin)
def queue_is_not_in_the_admin(**kwargs: Any) -> list[CheckMessage]:
    """runs.E010: its pages queue any function again, and change when which one is called."""
    models = apps.get_app_config("django_q").get_models()
    return [
        Error(
            f"{model.__name__} of django-q2 is in the admin, where anybody may queue jobs.",
            hint="Take the app that registers it out of FASTGRAPH_APPS, or out of its admin.py.",
            id="runs.E010",
        )
        for model in models
        if admin.site.is_registered(model)
    ]


@register(Tags.database)
def schedules_are_declared(
    databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """runs.W001: a schedule whose function is not declared does nothing. Asked with
    `check --database` and `migrate`."""
    table = Schedule._meta.db_table
    connection = connections[router.db_for_read(Schedule)]
    if connection.alias not in (databases or ()):
        return []
    if table not in connection.introspection.table_names():
        return []  # before the first `migrate`
    rows = Schedule.objects.exclude(repeats=0).values_list("name", "pk", "func", "hook")
    known = jobs.declared()
    return [
        Warning(
            f"Schedule {name or pk!r} calls {path!r}, which is not declared: it is refused.",
            hint="Name it in FASTGRAPH_JOBS, or delete the schedule.",
            id="runs.W001",
        )
        for name, pk, *paths in rows
        for path in paths
        if path and path not in known
    ]


@register()
def redis_address_is_one(**kwargs: Any) -> list[CheckMessage]:
    """runs.E007"""
    url = getattr(settings, "REDIS_URL", "")
    if not url or urlsplit(url).scheme in ("redis", "rediss", "unix"):
        return []
    return [
        Error(
            f"REDIS_URL is not an address of a Redis server: {urlsplit(url).scheme or url!r}.",
            hint="It looks like redis://host:6379/0; leave it empty to do without Redis.",
            id="runs.E007",
        )
    ]


@register()
def numbers_make_sense(**kwargs: Any) -> list[CheckMessage]:
    """runs.E008: values with which nothing would ever run, or every lease would lapse."""
    now = conf()
    least: dict[str, float] = {
        "workers": 1,
        "concurrency": 1,
        "node_threads": 1,
        "max_attempts": 1,
        "step_limit": 1,
        "lease_seconds": 1,
        "sweep_seconds": 0.05,
        "linger_seconds": 0,
        "max_body_bytes": 1024,
        "max_value_bytes": 1024,
        "max_state_bytes": 1024,
        "max_event_bytes": 1024,
        "journal_queue_bytes": 1024,
    }
    return [
        Error(
            f"FASTGRAPH_{name.upper()} is {getattr(now, name):g}, but must be at least {bound:g}.",
            id="runs.E008",
        )
        for name, bound in least.items()
        if not getattr(now, name) >= bound
    ]
