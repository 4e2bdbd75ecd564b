"""Every setting that the environment (or a `.env` file) can give, in one table.

`settings.py` reads all of its outside input through `read()`; `docs/settings.md` shows the same
table, and a test compares the two.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import environ
from django.core.exceptions import ImproperlyConfigured

PREFIX = "FASTGRAPH_"
BASE_DIR = Path(__file__).resolve().parent.parent

type_names = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    list: "list",
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One environment variable: `kind` is str, int, float, bool or list (comma separated)."""

    name: str
    kind: type
    default: object
    help: str


def _s(name: str, kind: type, default: object, help: str) -> Setting:
    return Setting(name=name, kind=kind, default=default, help=help)


SETTINGS: tuple[Setting, ...] = (
    _s("HOST", str, "127.0.0.1", "Address that `serve` binds; only loopback until logins exist."),
    _s("PORT", int, 8000, "Port that `serve` binds."),
    _s(
        "DATABASE_URL",
        str,
        "",
        "`postgres://…` or `sqlite:///…`; empty: SQLite in the data folder.",
    ),
    _s(
        "REDIS_URL",
        str,
        "",
        "`redis://…` for hints and Django's cache; empty: in memory, nothing needed.",
    ),
    _s("FASTGRAPH_DATA_DIR", str, "data", "Folder for all that is made at run time."),
    _s("FASTGRAPH_APPS", list, [], "Django apps of yours whose `workflows` modules are loaded."),
    _s(
        "FASTGRAPH_SECRET_KEY",
        str,
        "",
        "Django's secret key; empty: made once, kept in the data folder.",
    ),
    _s("FASTGRAPH_ALLOWED_HOSTS", list, [], "Host names to accept besides the loopback ones."),
    _s("FASTGRAPH_DEBUG", bool, False, "Django's debug pages. Never where strangers can reach it."),
    _s("FASTGRAPH_LOG_LEVEL", str, "INFO", "DEBUG, INFO, WARNING or ERROR."),
    _s(
        "FASTGRAPH_WORKERS",
        int,
        1,
        "django-q2 workers that execute runs: on Postgres as many as cores, for many runs."
        " One more executes suspects, apart; one is kept for other jobs.",
    ),
    _s("FASTGRAPH_CONCURRENCY", int, 100, "Runs that one worker executes at the same time."),
    _s("FASTGRAPH_NODE_THREADS", int, 16, "Threads of one worker for sync nodes."),
    _s("FASTGRAPH_WEB_THREADS", int, 8, "Threads of the web process for REST, admin and pages."),
    _s(
        "FASTGRAPH_LEASE_SECONDS",
        float,
        10.0,
        "How long a claimed run stays its worker's without a heartbeat.",
    ),
    _s("FASTGRAPH_SWEEP_SECONDS", float, 1.0, "How often lapsed leases are looked for."),
    _s("FASTGRAPH_LINGER_SECONDS", float, 5.0, "How long a worker without work stays awake."),
    _s(
        "FASTGRAPH_CANCEL_SECONDS",
        float,
        10.0,
        "How long a node may take to stop before its worker process is replaced.",
    ),
    _s(
        "FASTGRAPH_MAX_ATTEMPTS",
        int,
        3,
        "Claims of one run, each lost to a crash, before the run fails.",
    ),
    _s(
        "FASTGRAPH_FAULT",
        str,
        "",
        "For tests: `after_commit:3` kills a worker, once, where it gets there the third time.",
    ),
    _s("FASTGRAPH_STEP_LIMIT", int, 10_000, "Supersteps of one run before it fails."),
    _s("FASTGRAPH_MAX_BODY_BYTES", int, 10 * 2**20, "Largest request body."),
    _s("FASTGRAPH_MAX_VALUE_BYTES", int, 64 * 2**20, "Largest stored value of one state key."),
    _s("FASTGRAPH_MAX_STATE_BYTES", int, 256 * 2**20, "Largest stored state, all keys together."),
    _s(
        "FASTGRAPH_MAX_EVENT_BYTES",
        int,
        256 * 2**10,
        "Largest data of one event: an `emit` of more is refused, an update of a node is cut to a"
        " note.",
    ),
    _s(
        "FASTGRAPH_JOURNAL_QUEUE_BYTES",
        int,
        8 * 2**20,
        "What may wait to be written in one worker before nodes that emit events wait.",
    ),
)


def read() -> dict[str, object]:
    """The value of every setting by name. A value of the wrong kind raises ImproperlyConfigured
    that names the variable and what it should look like."""
    env = environ.Env()
    environ.Env.read_env(str(BASE_DIR / ".env"))
    values: dict[str, object] = {}
    for setting in SETTINGS:
        try:
            values[setting.name] = env.get_value(
                setting.name, cast=setting.kind, default=setting.default
            )
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{setting.name} should be a {type_names[setting.kind]}: {error}. {setting.help}"
            ) from error
    _require_apps(cast(Sequence[str], values["FASTGRAPH_APPS"]))
    return values


def make_folder(path: Path) -> None:
    """The data folder, made if it is not there; ImproperlyConfigured when it cannot be used."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"the data folder {path} cannot be made ({error.strerror}). FASTGRAPH_DATA_DIR names "
            "another one."
        ) from error
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise ImproperlyConfigured(
            f"the data folder {path} cannot be written to. Make it a folder of the user who runs "
            "the server, or name another one with FASTGRAPH_DATA_DIR."
        )


def _require_apps(names: Sequence[str]) -> None:
    for name in names:
        package = name.partition(".")[0]
        if not package.isidentifier() or find_spec(package) is None:
            raise ImproperlyConfigured(
                f"FASTGRAPH_APPS names {name!r}, but there is no such package. Put it beside "
                "manage.py, or correct the name there or in .env."
            )
