"""Django's settings. Everything that differs between installations comes from `environment.py`."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from time import monotonic, sleep
from typing import Any, cast

import environ
from django.core.exceptions import ImproperlyConfigured

from fastgraph_site import __version__
from fastgraph_site.environment import BASE_DIR, make_folder, read
from fastgraph_site.setting_rules import require_secret

ENV: dict[str, Any] = read()

DATA_DIR = (BASE_DIR / cast(str, ENV["FASTGRAPH_DATA_DIR"])).resolve()
make_folder(DATA_DIR)


def _secret_key(path: Path) -> str:
    """The key in `path`, made on first use and readable by its owner only. Two processes that
    start at once agree: the one that loses the race to create the file reads the winner's."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        deadline = monotonic() + 2.0  # in which the winner writes it
        while not (key := path.read_text().strip()) and monotonic() < deadline:
            sleep(0.01)
        require_secret(key, f"The key in {path}")
        return key
    with os.fdopen(descriptor, "w") as file:
        key = secrets.token_urlsafe(50)
        file.write(key)
    return key


DEBUG: bool = ENV["FASTGRAPH_DEBUG"]
SECRET_KEY: str = ENV["FASTGRAPH_SECRET_KEY"] or _secret_key(DATA_DIR / "secret_key")
HOST: str = ENV["HOST"]
PORT: int = ENV["PORT"]
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]", *ENV["FASTGRAPH_ALLOWED_HOSTS"]]

INSTALLED_APPS = [
    "fastgraph_site.server.daphne_app.DaphneConfig",  # first: it brings its own runserver
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "runs",
    "artifacts",
    "streaming",
    "fastgraph_site",
    *ENV["FASTGRAPH_APPS"],
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "fastgraph_site.web.local_user.LocalUserMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "fastgraph_site.urls"
ASGI_APPLICATION = "fastgraph_site.asgi.application"
APPEND_SLASH = False  # every API path works with and without its slash; nothing redirects a POST

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- database -------------------------------------------------------------------------------

SQLITE_OPTIONS = {
    # Seconds to wait for another writer: who journals or claims tries again, a request gets a 503.
    "timeout": 5,
    # IMMEDIATE: a transaction that reads and then writes takes the write lock at once, instead of
    # failing with "database is locked" when another writer came between.
    "transaction_mode": "IMMEDIATE",
    "init_command": (
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA mmap_size=134217728;"
        "PRAGMA cache_size=-20000; PRAGMA journal_size_limit=67108864;"
    ),
}

POSTGRES_OPTIONS = {
    # As on SQLite, 5 s for a lock: a request gets a 503 then, and not a thread for ever. And a
    # host that is cut off keeps what it has locked for no longer than these.
    "options": (
        "-c lock_timeout=5s -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5"
        " -c tcp_keepalives_count=3"
    ),
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
    # For what goes past Django's own cursors, which prepare nothing.
    "prepare_threshold": 5,
}


def _database(url: str) -> dict[str, Any]:
    if url and url.partition(":")[0] not in ("postgres", "postgresql", "psql", "pgsql", "sqlite"):
        raise ImproperlyConfigured(
            "DATABASE_URL is no address of a database for this server: it begins with postgres://"
            " or sqlite:///, or is empty."
        )
    config: dict[str, Any] = (
        dict(environ.Env.db_url_config(url))
        if url
        else {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(DATA_DIR / "fastgraph.sqlite3"),
        }
    )
    config["CONN_MAX_AGE"] = None
    config["CONN_HEALTH_CHECKS"] = True  # a restarted Postgres costs no request
    if config["ENGINE"].endswith("sqlite3"):
        config["ENGINE"] = "runs.db.sqlite3"  # Django's, on a file that is private and watched
        config["OPTIONS"] = SQLITE_OPTIONS
        config["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
    else:
        given = config.get("OPTIONS", {})
        if "pool" in given:  # docs/decisions/0009
            raise ImproperlyConfigured(
                "DATABASE_URL asks for a pool, but every thread keeps a connection of its own here."
                " Leave out `pool`; a pooler in front of Postgres needs session mode."
            )
        options = f"{POSTGRES_OPTIONS['options']} {given.get('options', '')}".strip()
        config["OPTIONS"] = {**POSTGRES_OPTIONS, **given, "options": options}
    return config


DATABASES = {"default": _database(ENV["DATABASE_URL"])}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- queue, channel layer, cache ------------------------------------------------------------

Q_CLUSTER = {
    "name": "fastgraph",
    "orm": "default",
    "broker_class": "runs.cluster.broker.NotifiedBroker",
    # One more for a run that is executed apart, a spare one for when another stands still, and one
    # that always is free for other jobs.
    "workers": ENV["FASTGRAPH_WORKERS"] + 3,
    "queue_limit": ENV["FASTGRAPH_WORKERS"] + 3,
    "bulk": 1,
    "timeout": 60,  # of other jobs; the job that executes runs has none
    "retry": 90,
    "max_attempts": 3,
    "ack_failures": True,
    "catch_up": False,
    "recycle": 10_000,
    "save_limit": 250,
    "label": "Queue",
}

REDIS_URL: str = ENV["REDIS_URL"]
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL]},
    }
    if REDIS_URL
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"},
}

if REDIS_URL:
    CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
    }

# --- API, pages, static files ---------------------------------------------------------------

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_RENDERER_CLASSES": [
        "runs.http.renderers.JsonRenderer",
        "runs.http.renderers.BrowsableRenderer",
    ],
    "DEFAULT_PARSER_CLASSES": ["runs.http.parsers.JsonParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "runs.http.renderers.Negotiation",
    "EXCEPTION_HANDLER": "runs.http.problems.exception_handler",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
CSRF_FAILURE_VIEW = "runs.http.problems.csrf_failure"
DATA_UPLOAD_MAX_MEMORY_SIZE: int = ENV["FASTGRAPH_MAX_BODY_BYTES"]

SPECTACULAR_SETTINGS = {
    "TITLE": "FastGraph Server",
    "VERSION": __version__,
    "DESCRIPTION": (
        "Durable workflows as graphs of Python functions. A run is durable once it is answered"
        " with 201; `/api/ws/{run_id}?after=N` (WebSocket) and `/api/runs/{run_id}/stream`"
        " (server-sent events) stream its events. Every path works"
        " with and without its trailing slash. Every error is problem details (RFC 9457) with a"
        " stable `code`."
    ),
    "TAGS": [
        {"name": "runs", "description": "Create, look at and replay runs."},
        {"name": "artifacts", "description": "Files that runs made."},
        {"name": "workflows", "description": "What can be run."},
        {"name": "workers", "description": "Who executes it."},
        {"name": "health", "description": "Whether all of it works."},
    ],
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "runs.api.event_schema.add_events",
        "streaming.schema.add_streams",
    ],
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_NAME_OVERRIDES": {"RunStatus": "runs.models.RunStatus"},
    # Swagger and ReDoc come from this server, never from a CDN.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

STATIC_URL = "/static/"
STATICFILES_DIRS = [("dashboard", BASE_DIR / "frontend" / "dist")]
# No collectstatic step and no STATIC_ROOT: the one command serves what is in the tree.
WHITENOISE_IMMUTABLE_FILE_TEST = r"^/static/dashboard/assets/.+-[\w-]{8}\.\w+$"  # Vite's hashes
WHITENOISE_USE_FINDERS = True

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

FASTGRAPH = {
    **{
        name.removeprefix("FASTGRAPH_").lower(): value
        for name, value in ENV.items()
        if name.startswith("FASTGRAPH_")
    },
    "worker_job": "fastgraph_site.worker.work",
    "version": __version__,
    "data_dir": DATA_DIR,  # the resolved path, not the text of the variable
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname:<7} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": ENV["FASTGRAPH_LOG_LEVEL"]},
    "filters": {"no_sockets": {"()": "fastgraph_site.logs.NoSockets"}},
    "loggers": {
        # At INFO it writes several lines for every job, and wake-ups are many.
        "django-q": {"level": "WARNING"},
        # A 4xx is answered with what was wrong; only a 5xx is news to who reads the log.
        "django.request": {"level": "ERROR"},
        # What went wrong in a pipeline is raised; that the rest of it did not happen is no news.
        "psycopg": {"level": "ERROR"},
        "uvicorn.error": {"filters": ["no_sockets"]},
    },
}
