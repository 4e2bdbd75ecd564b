"""What a WSGI application sees of an ASGI request, and what it answers."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, TypeAlias
from wsgiref.types import WSGIApplication

from asgiref.typing import HTTPScope

Headers: TypeAlias = list[tuple[bytes, bytes]]


def environ(scope: HTTPScope, body: bytes) -> dict[str, Any]:
    """The environ of a request whose body is complete.

    Headers with an underscore in their name are left out: WSGI could not tell them from those
    with a hyphen, and a guard that looked for the one would have missed the other.
    """
    root = scope.get("root_path", "")
    client, server = scope.get("client"), scope.get("server") or ("localhost", 80)
    values: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": _wsgi_text(root),
        "PATH_INFO": _wsgi_text(scope["path"].removeprefix(root)),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or 0),
        "REMOTE_ADDR": client[0] if client else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        if b"_" not in name:
            _add_header(values, name.decode("latin-1").lower(), value.decode("latin-1"))
    return values


def _add_header(values: dict[str, Any], name: str, value: str) -> None:
    key = name.upper().replace("-", "_")
    if name not in ("content-type", "content-length"):
        key = f"HTTP_{key}"
    if key in values:
        value = f"{values[key]}{'; ' if name == 'cookie' else ','}{value}"
    values[key] = value


def _wsgi_text(text: str) -> str:
    """WSGI's text: the bytes, each as one character."""
    return text.encode().decode("latin-1")


class Call:
    """One call of a WSGI application. `begin`, `more` and `close` run in threads, one at a time;
    `abandon` may be called from the event loop at any time."""

    def __init__(self, application: WSGIApplication, values: dict[str, Any]) -> None:
        self._application = application
        self._environ = values
        self._answer: Iterable[bytes] | None = None
        self._chunks: Iterator[bytes] = iter(())
        self._lock = threading.Lock()
        self._busy = False
        self._abandoned = False
        self.status = 0
        self.headers: Headers = []

    def begin(self, size: int) -> tuple[bytes, bool]:
        """Call the application; then `status` and `headers` are known. The rest is as in `more`."""
        with self._at_work():
            self._answer = self._application(self._environ, self._start_response)
            self._chunks = iter(self._answer)
            return self._take(size)

    def more(self, size: int) -> tuple[bytes, bool]:
        """The next bytes of the answer, `size` of them or a little more, and whether there may be
        others. Of an answer that is complete nothing is left open."""
        with self._at_work():
            return self._take(size)

    def abandon(self) -> bool:
        """Nobody waits for the rest. True: something is open that is to be freed by `close`; a
        thread that is at work frees it by itself."""
        with self._lock:
            self._abandoned = True
            return self._answer is not None and not self._busy

    def close(self) -> None:
        """Free what the answer holds, such as an open file. Idempotent."""
        answer, self._answer = self._answer, None
        if answer is not None and hasattr(answer, "close"):
            answer.close()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        with self._lock:
            self._busy = True
        try:
            yield
        finally:
            with self._lock:
                self._busy = False
                abandoned = self._abandoned
            if abandoned:
                self.close()

    def _take(self, size: int) -> tuple[bytes, bool]:
        taken: list[bytes] = []
        length = 0
        for chunk in self._chunks:
            taken.append(chunk)
            length += len(chunk)
            if length >= size:
                return b"".join(taken), True
        self.close()
        return b"".join(taken), False

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], error: Any = None, /
    ) -> Any:
        self.status = int(status.split(" ", 1)[0])
        self.headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers
        ]
        return self._write

    def _write(self, data: bytes) -> object:
        raise NotImplementedError("The write() of WSGI's first version is not supported.")
