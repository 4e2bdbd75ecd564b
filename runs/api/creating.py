"""What `POST /api/runs` and `POST /api/runs/batch` take and answer, whichever door a request comes
through: the viewset, or the handler for many at once (docs/decisions/0007-two-doors.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

from runs import creations, manager
from runs.api.parameters import parse_uuid
from runs.api.parsers import object_of, read_json
from runs.api.problems import MEDIA_TYPE, RETRY, body_of, told
from runs.api.renderers import JsonRenderer
from runs.api.schemas import NewRunSerializer
from runs.creations import Made, Wish
from runs.errors import Problem
from runs.summaries import detail, summarise

FIELDS = tuple(NewRunSerializer().fields)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request: its path, its whole body, its Idempotency-Key; `many` for a batch."""

    path: str
    body: bytes
    key: str | None = None
    many: bool = False


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is answered: the status, the headers that say what it is, the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def wish(asked: Any, key: str | None) -> Wish:
    """What the body `asked` of a request for one run asks for. Problem 422 or 400 when it does not
    fit."""
    new = _new_run(asked, "")
    if key is not None and (not 1 <= len(key) <= 255 or not key.isprintable()):
        why_not = "Idempotency-Key must be 1 to 255 printable characters."
        raise Problem(400, "bad_idempotency_key", why_not)
    return Wish(news=[new], key=key)


def wish_of_many(asked: Any, key: str | None) -> Wish:
    """The same for a batch, which takes no key."""
    if key is not None:
        why_not = "A batch takes no Idempotency-Key. Leave it out, or ask for the runs one by one."
        raise Problem(400, "bad_idempotency_key", why_not)
    if not isinstance(asked, list) or not 1 <= len(asked) <= manager.MAX_BATCH:
        why_not = f"The body must be a list of 1 to {manager.MAX_BATCH} runs."
        raise Problem(422, "invalid", why_not, [{"at": "", "detail": why_not}])
    return Wish(news=[_new_run(one, f"/{index}") for index, one in enumerate(asked)])


def content(made: Made, *, many: bool = False) -> dict[str, Any]:
    """The answer's body, as plain values."""
    if many:
        return {"results": [summarise(run) for run in made.runs]}
    (run,) = made.runs
    return detail(run)


def headers(made: Made, *, many: bool = False) -> dict[str, str]:
    """Where the new run is."""
    return {"Location": f"/api/runs/{made.runs[0].id}"} if made.new and not many else {}


def status(made: Made) -> int:
    """201, or 200 for what was made before."""
    return 201 if made.new else 200


def answer_all(asked: Sequence[Asked]) -> list[Answer]:
    """The answers to requests that came at the same time, in their order. What was made is durable
    then; it took one transaction. Never raises for what one of them asks."""
    wishes: dict[int, Wish] = {}
    outcomes: dict[int, Made | Exception] = {}
    for place, one in enumerate(asked):
        try:
            body = read_json(one.body)
            wishes[place] = (wish_of_many if one.many else wish)(body, one.key)
        except Exception as error:
            outcomes[place] = error
    outcomes.update(zip(wishes, creations.create_together(list(wishes.values())), strict=True))
    return [answer(one, outcomes[place]) for place, one in enumerate(asked)]


def answer(asked: Asked, outcome: Made | Exception) -> Answer:
    """What is said of one request's outcome; an error that is not the client's doing is logged."""
    if isinstance(outcome, Exception):
        problem = told(outcome, "POST", asked.path)
        retry = RETRY if problem.status == HTTPStatus.SERVICE_UNAVAILABLE else {}
        return Answer(
            status=problem.status,
            headers={"Content-Type": MEDIA_TYPE, **retry},
            body=body_of(problem, asked.path),
        )
    return Answer(
        status=status(outcome),
        headers={"Content-Type": JsonRenderer.media_type, **headers(outcome, many=asked.many)},
        body=JsonRenderer().render(content(outcome, many=asked.many)),
    )


def _new_run(asked: Any, at: str) -> manager.NewRun:
    fields = dict(object_of(asked, FIELDS, at))
    if fields.get("thread") is None:
        fields.pop("thread", None)
    else:
        fields["thread"] = _thread_id(fields["thread"], at)
    return manager.NewRun(**fields)


def _thread_id(value: Any, at: str) -> UUID:
    thread_id = parse_uuid(value) if isinstance(value, str) else None
    if thread_id is None:
        raise invalid(f"{at}/thread", "This must be the id of a thread.")
    return thread_id


def invalid(at: str, detail: str) -> Problem:
    """422 for one fault in a body."""
    errors = [{"at": at, "detail": detail}]
    return Problem(422, "invalid", f"The request is not valid: at {at}: {detail}", errors)
