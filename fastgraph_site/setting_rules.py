"""What a secret key and the names of hosts must be like, or nothing starts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from django.core.exceptions import ImproperlyConfigured

#: How many characters a secret key has at least, and how many different ones: `token_urlsafe(32)`
#: has 43, which are 256 bits, and `token_hex(32)` has 64, of 16 different ones at most. Django's
#: own check (security.W009), which runs on demand only, asks for 50 characters of every key.
KEY_SIZES = ((32, 16), (50, 8))
#: The shortest text that a key may be a repetition of.
_MIN_PERIOD = 25
#: The beginning of a key that `django-admin startproject` has made, and everybody may have seen.
_PUBLIC_KEY = "django-insecure-"
_HOST = re.compile(r"\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]", re.IGNORECASE)


def require_secret(key: str, where: str) -> None:
    """ImproperlyConfigured when a key could be guessed: who knows it can sign sessions."""
    is_long = any(len(key) >= size and len(set(key)) >= signs for size, signs in KEY_SIZES)
    if not is_long or _period(key) < _MIN_PERIOD or key.startswith(_PUBLIC_KEY):
        sizes = ", or ".join(f"{size} with {signs} different ones" for size, signs in KEY_SIZES)
        raise ImproperlyConfigured(
            f"{where} can be guessed: it should have at least as many characters as {sizes}, not "
            f"be a short text again and again, and not begin with {_PUBLIC_KEY}. Leave "
            "FASTGRAPH_SECRET_KEY empty and remove the file secret_key in the data folder: then "
            "one is made and kept there."
        )


def _period(key: str) -> int:
    """The length of the shortest beginning of `key` that makes all of it when it is repeated."""
    return next(n for n in range(1, len(key) + 1) if key.startswith(key[n:]))


def require_hosts(names: Sequence[str]) -> None:
    """ImproperlyConfigured when a name is none, or lets sites in that anybody may have made."""
    for name in names:
        if _HOST.fullmatch(name) is None:
            any_host = "`*` would let any site reach this server through a name of its own. "
            raise ImproperlyConfigured(
                f"FASTGRAPH_ALLOWED_HOSTS names {name!r}, which is no host name. "
                f"{any_host if '*' in name else ''}Give names without scheme and port, as "
                "fastgraph.example.org, or .example.org for all names below it."
            )
        if name.startswith(".") and name.count(".") == 1:
            raise ImproperlyConfigured(
                f"FASTGRAPH_ALLOWED_HOSTS names {name!r}, all names below a top-level domain: any "
                "site below it could reach this server through its own name. Give whole names, or "
                ".example.org for all names below one of yours."
            )
