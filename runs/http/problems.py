"""Errors, in one shape everywhere: RFC 9457 problem details with a stable `code`.

Whatever goes wrong under `/api` is answered by `respond`: what our own code refuses (`Problem`),
what DRF refuses, what Django refuses before a view is found, and what nobody expected. Never an
HTML page there, never a traceback.
"""

from __future__ import annotations

import logging
import sys
from http import HTTPStatus
from typing import Any

import orjson
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import Error, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from rest_framework import exceptions
from rest_framework.views import set_rollback

from runs.db.errors import explain, is_transient
from runs.db.guard.open_transactions import holders
from runs.errors import Problem
from runs.validation import printable

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
#: With a 503: when to ask again.
RETRY = {"Retry-After": "2"}

_UNEXPECTED = "Something went wrong here, not with your request. The server's log says what."
_NO_DATABASE = "The database does not answer at the moment. Try again in a few seconds."


def respond(
    request: HttpRequest, problem: Problem, headers: dict[str, str] | None = None
) -> HttpResponse:
    """`problem` as a response. `instance` is the path that was asked for."""
    return HttpResponse(
        body_of(problem, request.path),
        status=problem.status,
        content_type=MEDIA_TYPE,
        headers=headers,
    )


def body_of(problem: Problem, path: str) -> bytes:
    """Problem details as JSON; `path` is what was asked for."""
    body: dict[str, Any] = {
        "type": "about:blank",  # the status says what `title` says; `code` is the finer word
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": printable(problem.detail),
        "instance": printable(path),
        "code": problem.code,
    }
    if problem.errors:
        body["errors"] = problem.errors
    return orjson.dumps(body)


def exception_handler(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """DRF's hook: every exception of an API view becomes a problem, and what is open is rolled
    back. Unexpected ones are logged with their traceback."""
    set_rollback()
    headers: dict[str, str] = {}
    if isinstance(error, exceptions.MethodNotAllowed):
        headers["Allow"] = ", ".join(context["view"].allowed_methods)
    problem = told(error, context["request"].method, context["request"].path)
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers |= RETRY
    return respond(context["request"], problem, headers)


def told(error: Exception, method: str | None, path: str) -> Problem:
    """What a client is told of an error, and the log, where it is not the client's doing."""
    if isinstance(error, OperationalError | InterfaceError) or is_transient(error):
        holding = holders()
        logger.warning("The database failed: %s %s", error, holding)
        why = explain(error) or f"{_NO_DATABASE} {holding}".rstrip()
        return Problem(503, "database_unavailable", why)
    problem = _problem(error, method)
    if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("Unexpected error in %s", path, exc_info=error)
    return problem


def _problem(error: Exception, method: str | None) -> Problem:
    match error:
        case Problem():
            return error
        case exceptions.MethodNotAllowed():
            return Problem(405, "method_not_allowed", f"{method} is not possible here.")
        case RequestDataTooBig():
            return Problem(413, "body_too_large", "The request body is too large.")
        case exceptions.APIException():
            detail = str(error.detail)
            return Problem(error.status_code, str(error.default_code), detail)
        case Http404():
            return Problem(404, "not_found", str(error) or "There is nothing here.")
        case PermissionDenied():
            return Problem(403, "forbidden", str(error) or "You may not do this.")
        case SuspiciousOperation():
            return Problem(400, "bad_request", str(error) or "This request is not understood.")
    return Problem(500, "internal_error", _UNEXPECTED)


# --- Django's own handlers, for what never reaches a view ---------------------------------------


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler400: a Host that is not ours, a body over the limit, and the like."""
    return refuse(request, _problem(exception, request.method))


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """handler403."""
    return refuse(request, Problem(403, "forbidden", "You may not do this."))


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """handler404, and the view of every path under `/api/` that there is not."""
    return refuse(request, no_such_path(request))


def server_error(request: HttpRequest) -> HttpResponse:
    """handler500: 503 when it was the database, also outside the API: its disk is full, it is away
    or damaged. Django has logged the traceback."""
    error = sys.exc_info()[1]
    if isinstance(error, Error):
        problem = told(error, request.method, request.path)
        if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
            return refuse(request, problem, RETRY)
    return refuse(request, Problem(500, "internal_error", _UNEXPECTED))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """CSRF_FAILURE_VIEW: a form that was not sent from our own page, or whose cookie is gone."""
    detail = f"{reason} Reload the page that the form is on, and send it again."
    return refuse(request, Problem(403, "csrf_failed", detail))


def no_such_path(request: HttpRequest) -> Problem:
    """404 for a path without a view."""
    return Problem(404, "not_found", f"There is nothing at {request.path}. /api/ lists the API.")


def refuse(
    request: HttpRequest, problem: Problem, headers: dict[str, str] | None = None
) -> HttpResponse:
    """A browser outside the API gets a page with the same sentence; everybody else the problem."""
    inside = request.path == "/api" or request.path.startswith("/api/")
    if inside or "text/html" not in request.headers.get("Accept", ""):
        return respond(request, problem, headers)
    title = HTTPStatus(problem.status).phrase
    context = {"title": title, "status": problem.status, "detail": printable(problem.detail)}
    # Without the context processors, which may ask the database who is there.
    page = render_to_string("problem.html", context)
    return HttpResponse(page, status=problem.status, headers=headers)
