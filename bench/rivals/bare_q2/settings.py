"""Two workers, and the database as the queue, which is polled as often as django-q2 does by
itself."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

_URL = urlsplit(os.environ["BARE_Q2_URL"])
_SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": _URL.path[1:],
    "OPTIONS": {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    },
}
_POSTGRES = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": _URL.path[1:],
    "HOST": _URL.hostname,
    "PORT": _URL.port,
    "USER": _URL.username,
    "PASSWORD": _URL.password or "",
}
DATABASES = {"default": _SQLITE if _URL.scheme == "sqlite" else _POSTGRES}
INSTALLED_APPS = ["django_q"]
SECRET_KEY = "only for a measurement"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
Q_CLUSTER = {"name": "bare", "orm": "default", "workers": 2, "timeout": 60, "retry": 120}
