"""What `POST /api/runs` and `POST /api/runs/batch` take and answer, for two callers: the viewset,
and the handler for many requests at once (docs/decisions/0007-two-doors.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

from runs.api.request_schemas import NewRunSerializer
from runs.errors import Problem
from runs.http.parameters import parse_uuid
from runs.http.parsers import object_of, read_json
from runs.http.problems import MEDIA_TYPE, RETRY, body_of, told
from runs.http.renderers import JsonRenderer
from runs.operations.create_requests import CreateRequest, CreateResult, create_many
from runs.operations.new_run import MAX_BATCH, NewRun
from runs.queries.summaries import detail, summarise

FIELDS = tuple(NewRunSerializer().fields)


@dataclass(frozen=True, kw_only=True)
class CreateHttpRequest:
    """One HTTP request that creates runs."""

    path: str
    #: The whole body.
    body: bytes
    #: The Idempotency-Key.
    key: str | None = None
    #: Whether it is for a batch.
    many: bool = False


@dataclass(frozen=True, kw_only=True)
class HttpAnswer:
    """The answer to one HTTP request, with the headers that describe its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def parse_create(body: Any, key: str | None) -> CreateRequest:
    """Parse the body of a request for one run.

    Raises Problem 422 or 400 if it is not valid.
    """
    new = _new_run(body, "")
    if key is not None and (not 1 <= len(key) <= 255 or not key.isprintable()):
        why_not = "Idempotency-Key must be 1 to 255 printable characters."
        raise Problem(400, "bad_idempotency_key", why_not)
    return CreateRequest(news=[new], key=key)


def parse_create_batch(body: Any, key: str | None) -> CreateRequest:
    """The same for a batch, which takes no key."""
    if key is not None:
        why_not = "A batch takes no Idempotency-Key. Leave it out, or ask for the runs one by one."
        raise Problem(400, "bad_idempotency_key", why_not)
    if not isinstance(body, list) or not 1 <= len(body) <= MAX_BATCH:
        why_not = f"The body must be a list of 1 to {MAX_BATCH} runs."
        raise Problem(422, "invalid", why_not, [{"at": "", "detail": why_not}])
    return CreateRequest(news=[_new_run(run, f"/{index}") for index, run in enumerate(body)])


def content(result: CreateResult, *, many: bool = False) -> dict[str, Any]:
    """The body of the answer, as plain values."""
    if many:
        return {"results": [summarise(run) for run in result.runs]}
    (run,) = result.runs
    return detail(run)


def headers(result: CreateResult, *, many: bool = False) -> dict[str, str]:
    """Where the new run is."""
    return {"Location": f"/api/runs/{result.runs[0].id}"} if result.new and not many else {}


def status(result: CreateResult) -> int:
    """201, or 200 for runs that were created before."""
    return 201 if result.new else 200


def answer_all(requests: Sequence[CreateHttpRequest]) -> list[HttpAnswer]:
    """Create the runs of simultaneous requests in one transaction, and answer each request, in
    their order. The runs are durable then. Never raises for the content of a request."""
    parsed: dict[int, CreateRequest] = {}
    outcomes: dict[int, CreateResult | Exception] = {}
    for position, request in enumerate(requests):
        try:
            parse = parse_create_batch if request.many else parse_create
            parsed[position] = parse(read_json(request.body), request.key)
        except Exception as error:
            outcomes[position] = error
    outcomes.update(zip(parsed, create_many(list(parsed.values())), strict=True))
    return [answer(request, outcomes[position]) for position, request in enumerate(requests)]


def answer(request: CreateHttpRequest, outcome: CreateResult | Exception) -> HttpAnswer:
    """The answer to one request. An error that is not the client's fault is logged."""
    if isinstance(outcome, Exception):
        problem = told(outcome, "POST", request.path)
        retry = RETRY if problem.status == HTTPStatus.SERVICE_UNAVAILABLE else {}
        return HttpAnswer(
            status=problem.status,
            headers={"Content-Type": MEDIA_TYPE, **retry},
            body=body_of(problem, request.path),
        )
    return HttpAnswer(
        status=status(outcome),
        headers={"Content-Type": JsonRenderer.media_type, **headers(outcome, many=request.many)},
        body=JsonRenderer().render(content(outcome, many=request.many)),
    )


def _new_run(body: Any, at: str) -> NewRun:
    fields = dict(object_of(body, FIELDS, at))
    if fields.get("thread") is None:
        fields.pop("thread", None)
    else:
        fields["thread"] = _thread_id(fields["thread"], at)
    return NewRun(**fields)


def _thread_id(value: Any, at: str) -> UUID:
    thread_id = parse_uuid(value) if isinstance(value, str) else None
    if thread_id is None:
        raise invalid(f"{at}/thread", "This must be the id of a thread.")
    return thread_id


def invalid(at: str, detail: str) -> Problem:
    """422 for one issue in a body."""
    errors = [{"at": at, "detail": detail}]
    return Problem(422, "invalid", f"The request is not valid: at {at}: {detail}", errors)
