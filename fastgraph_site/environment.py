"""Every setting that the environment (or a `.env` file) can give, in one table.

`settings.py` reads all of its outside input through `read()`; `docs/settings.md` shows the same
table, and a test compares the two.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import environ
from django.core.exceptions import ImproperlyConfigured

from fastgraph_site.setting_rules import require_hosts, require_secret

PREFIX = "FASTGRAPH_"
BASE_DIR = Path(__file__).resolve().parent.parent

type_names = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    list: "list",
}


#: A hundred years: the end of a longer time may be no date.
_MOST_SECONDS = 100 * 365 * 86_400

#: Numbers that may be zero. All others are limits and times that nothing works without.
_MAY_BE_ZERO = (
    "PORT",
    "FASTGRAPH_LINGER_SECONDS",
    "FASTGRAPH_CANCEL_SECONDS",
    "FASTGRAPH_KEEP_ALIVE_SECONDS",
)


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
        "FASTGRAPH_JOBS",
        list,
        [],
        "Functions of yours, as dotted paths, that django-q2 jobs, schedules and hooks may call; no"
        " others are executed.",
    ),
    _s(
        "FASTGRAPH_SECRET_KEY",
        str,
        "",
        "Django's secret key: 32 characters or more, 16 of them different, or 50 or more, 8 of them"
        " different; empty: made once, kept in the data folder.",
    ),
    _s("FASTGRAPH_ALLOWED_HOSTS", list, [], "Host names to accept besides the loopback ones."),
    _s("FASTGRAPH_DEBUG", bool, False, "Django's debug pages. Never where strangers can reach it."),
    _s("FASTGRAPH_LOG_LEVEL", str, "INFO", "DEBUG, INFO, WARNING or ERROR."),
    _s(
        "FASTGRAPH_WORKERS",
        int,
        1,
        "django-q2 workers that execute runs: on Postgres as many as cores, for many runs."
        " One more executes suspects, apart; one is spare; one is kept for other jobs.",
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
        "For tests: `POINT:STEP:RUN`, as `after_commit:3`, kills a worker, once, there.",
    ),
    _s("FASTGRAPH_STEP_LIMIT", int, 10_000, "Supersteps of one run before it fails."),
    _s("FASTGRAPH_MAX_BODY_BYTES", int, 10 * 2**20, "Largest request body."),
    _s("FASTGRAPH_MAX_BODY_VALUES", int, 500_000, "Most JSON values in one request body."),
    _s(
        "FASTGRAPH_MAX_BODIES_BYTES",
        int,
        128 * 2**20,
        "Memory for the bodies of all requests under way; over it they are answered with 503.",
    ),
    _s(
        "FASTGRAPH_BODY_SECONDS",
        float,
        30.0,
        "How long a request body may stand still, or be slower than the next setting allows.",
    ),
    _s(
        "FASTGRAPH_BODY_BYTES_PER_SECOND",
        int,
        1024,
        "How fast a request body must come in the long run.",
    ),
    _s("FASTGRAPH_MAX_HEADER_BYTES", int, 64 * 2**10, "Largest head of a request: 431 above."),
    _s("FASTGRAPH_MAX_URL_BYTES", int, 16 * 2**10, "Longest URL of a request: 414 above."),
    _s("FASTGRAPH_HEADER_SECONDS", float, 20.0, "How long the head of a request may take."),
    _s(
        "FASTGRAPH_KEEP_ALIVE_SECONDS",
        int,
        5,
        "How long a connection stays open for its next request.",
    ),
    _s(
        "FASTGRAPH_STALLED_SECONDS",
        float,
        60.0,
        "How long a client may take nothing of what waits for it before its connection ends.",
    ),
    _s(
        "FASTGRAPH_MAX_CONNECTIONS",
        int,
        10_000,
        "Connections of the web process, streams and sockets among them; fewer where the operating"
        " system allows fewer open files.",
    ),
    _s(
        "FASTGRAPH_MAX_WAITS",
        int,
        8_000,
        "Requests that wait for a run at the same time: long polls, `/wait`, `?wait=`.",
    ),
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
    """The value of every setting by name. A value of the wrong kind, or a number that is too small,
    raises ImproperlyConfigured that names the variable and what it should look like."""
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
        _require_size(setting, values[setting.name])
    _require_apps(cast(Sequence[str], values["FASTGRAPH_APPS"]))
    require_hosts(cast(Sequence[str], values["FASTGRAPH_ALLOWED_HOSTS"]))
    if key := cast(str, values["FASTGRAPH_SECRET_KEY"]):
        require_secret(key, "FASTGRAPH_SECRET_KEY")
    return values


def _require_size(setting: Setting, value: object) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return
    most = _MOST_SECONDS if setting.name.endswith("_SECONDS") else math.inf
    if not math.isfinite(value) or value > most:
        limit = f" of {_MOST_SECONDS:,} at most" if most < math.inf else ""
        raise ImproperlyConfigured(
            f"{setting.name} should be a number{limit}, not {value}. {setting.help}"
        )
    least = "0 or more" if setting.name in _MAY_BE_ZERO else "more than 0"
    if value < 0 or (value == 0 and least == "more than 0"):
        raise ImproperlyConfigured(f"{setting.name} should be {least}, not {value}. {setting.help}")


def make_folder(path: Path) -> None:
    """The data folder, made if it is not there, for its owner alone; ImproperlyConfigured when it
    cannot be used."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"the data folder {path} cannot be made ({error.strerror}). FASTGRAPH_DATA_DIR names "
            "another one."
        ) from error
    with suppress(OSError):
        if os.listdir(path) == [".gitignore"]:  # git has made it, and nobody has used it
            path.chmod(0o700)
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
