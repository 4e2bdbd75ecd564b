"""A client of a running server, over HTTP alone: for the commands `smoke` and `chaos`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from django.core.management.base import CommandError


class Server:
    """A FastGraph server at `url`.

    Raises CommandError, which says what to do, for every failure.
    """

    def __init__(self, url: str, timeout: float) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise CommandError(f"{url!r} is not an address like http://127.0.0.1:8000.")
        self.url = url.rstrip("/")
        self._timeout = timeout
        # No proxy of the environment stands between this machine and itself.
        self._opener = build_opener(ProxyHandler({}))

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        accept: tuple[int, ...] = (200,),
        more_headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The JSON that is answered."""
        status, answer = self._send(method, path, body, more_headers)
        try:
            found = json.loads(answer)
        except ValueError:
            raise CommandError(
                f"{self.url}{path} answered {status} without JSON: is it a FastGraph server?"
            ) from None
        if status not in accept:
            detail = found.get("detail") if isinstance(found, dict) else found
            raise CommandError(f"{method} {path} answered {status}: {detail}")
        return found

    def download(self, path: str) -> bytes:
        """The file at `path` (or at a whole address)."""
        status, answer = self._send("GET", urlsplit(path).path, None)
        if status != 200:
            raise CommandError(f"GET {path} answered {status}: {answer[:200]!r}")
        return answer

    def _send(
        self, method: str, path: str, body: Any, more_headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json"} if "/api/artifacts/" not in path else {}
        if data is not None:
            headers["Content-Type"] = "application/json"
        headers.update(more_headers or {})
        # The scheme is http or https: checked above.
        request = Request(self.url + path, data, headers, method=method)  # noqa: S310
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()
        except (URLError, OSError) as error:
            raise CommandError(
                f"Nothing answers at {self.url} ({getattr(error, 'reason', error)}). Start the "
                "server with `make run` or `manage.py serve`, or say where it is with --url."
            ) from None
