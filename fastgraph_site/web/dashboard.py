"""The page that carries the dashboard: one document for all of its addresses, which loads what
Vite built into `frontend/dist`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.views.decorators.http import require_safe

from fastgraph_site.environment import BASE_DIR

DIST = BASE_DIR / "frontend" / "dist"
#: The folder of DIST among the static files (STATICFILES_DIRS).
PREFIX = "dashboard"
ENTRY = "src/main.tsx"


@dataclass(frozen=True, kw_only=True)
class Assets:
    """What the page loads, as addresses."""

    script: str
    styles: tuple[str, ...]
    fonts: tuple[str, ...]
    icon: str


@require_safe
def page(request: HttpRequest, run_id: UUID | None = None) -> HttpResponse:
    """The dashboard; which of its pages is shown, the browser finds out from the address. Without
    a build a page that says how to make one, with status 503."""
    try:
        context = {"assets": _assets(DIST)}
    except (FileNotFoundError, KeyError, ValueError):
        context = {}
    response = render(request, "dashboard.html", context, status=200 if context else 503)
    response["Content-Security-Policy"] = _policy(request)
    # The names of the files change with their content; the page that names them must be asked for.
    response["Cache-Control"] = "no-cache"
    return response


def _assets(dist: Path) -> Assets:
    """What the build in `dist` says about its entry. Raises FileNotFoundError without a build,
    KeyError or ValueError when it is not one of ours."""
    manifest: dict[str, Any] = json.loads((dist / ".vite" / "manifest.json").read_text())
    entry = manifest[ENTRY]
    return Assets(
        script=_url(entry["file"]),
        styles=tuple(_url(file) for file in entry.get("css", [])),
        fonts=tuple(_url(file) for file in entry.get("assets", []) if file.endswith(".woff2")),
        icon=_url("favicon.svg"),
    )


def _url(file: str) -> str:
    return static(f"{PREFIX}/{file}")


def _policy(request: HttpRequest) -> str:
    """Nothing but this server's own files and sockets. Some browsers do not count sockets among
    `'self'`, so they are named."""
    scheme = "wss" if request.is_secure() else "ws"
    connect = f"'self' {scheme}://{request.get_host()}"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
        f"img-src 'self' data:; connect-src {connect}; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
