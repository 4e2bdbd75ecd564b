"""Runs over HTTP, while they are under way: pause, unpause, answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from runs.api.request_schemas import AnswerSerializer, PauseSerializer
from runs.api.schemas import RunSerializer
from runs.engine import Command, Send
from runs.engine.types import MISSING
from runs.errors import Problem
from runs.http.parameters import parse_uuid
from runs.http.parsers import object_of
from runs.http.viewset import ApiViewSet, problems, unknown
from runs.models import Run
from runs.operations import pause as operations_pause
from runs.operations import resume as operations_resume
from runs.queries.summaries import detail
from runs.validation import value_faults

REASON = {"reason": "the other system is down"}
ANSWER = {"resume": "yes"}


class Steering(ApiViewSet):
    """What `RunViewSet` can do with a run besides looking at it."""

    @extend_schema(
        summary="Pause a run",
        description="No worker takes it from now on; one that executes it gives it back when the"
        " present superstep has ended. Its status is `pending` then, and `why` names the pause."
        " `unpause` lets it go on.",
        request=PauseSerializer,
        responses={200: RunSerializer, **problems(400, 404, 409, 422, 503)},
        examples=[OpenApiExample("With a reason", REASON, request_only=True)],
    )
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, run_id: str) -> Response:
        fields = object_of(request.data, PauseSerializer().fields)
        reason = fields.get("reason", "")
        return self._steered(
            run_id, lambda run: operations_pause.pause_run(run, by=self.who(), reason=reason)
        )

    @extend_schema(
        summary="Let a paused run go on",
        request=None,
        responses={200: RunSerializer, **problems(400, 404, 409, 422, 503)},
    )
    @action(detail=True, methods=["post"])
    def unpause(self, request: Request, run_id: str) -> Response:
        nothing_in(request.data)
        return self._steered(run_id, lambda run: operations_pause.unpause_run(run, by=self.who()))

    @extend_schema(
        summary="Answer an interrupted run",
        description="LangGraph's `Command`. `resume` is the answer to the first open question, or"
        " an object of interrupt id → answer; `update` is written to the state before the run goes"
        " on; `goto` names nodes to run along. A paused run keeps the answer, and goes on when it"
        " is unpaused.",
        request=AnswerSerializer,
        responses={200: RunSerializer, **problems(400, 404, 409, 422, 503)},
        examples=[OpenApiExample("An answer", ANSWER, request_only=True)],
    )
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, run_id: str) -> Response:
        command = command_of(object_of(request.data, AnswerSerializer().fields))
        return self._steered(run_id, lambda run: operations_resume.resume_run(run, command))

    def _steered(self, run_id: str, act: Callable[[UUID], Run]) -> Response:
        run_uuid = parse_uuid(run_id)
        if run_uuid is None:
            raise unknown("run", run_id)
        return Response(detail(act(run_uuid)))


def nothing_in(body: Any) -> None:
    """Problem 422 for a body with anything in it."""
    if body:
        detail = "The body must be empty. Answers to an interrupted run go to `resume`."
        raise Problem(422, "invalid", detail)


def command_of(fields: Mapping[str, Any]) -> Command[Any]:
    """The Command that a body asks for; Problem 422 with every fault of it."""
    faults = value_faults(fields.get("resume"), "/resume")
    update = fields.get("update")
    if update is not None and not isinstance(update, dict):
        faults.append({"at": "/update", "detail": "This must be a JSON object."})
    else:
        faults += value_faults(update, "/update")
    goto = fields.get("goto")
    targets = goto if isinstance(goto, list) else [] if goto is None else [goto]
    for index, target in enumerate(targets):
        at = f"/goto/{index}" if isinstance(goto, list) else "/goto"
        if not _is_target(target):
            detail = "This must be the name of a node, or an object with its `node` and `input`."
            faults.append({"at": at, "detail": detail})
        faults += value_faults(target, at)
    if faults:
        first = faults[0]
        sentence = f"The request is not valid: at {first['at']}: {first['detail']}"
        raise Problem(422, "invalid", sentence, faults)
    return Command(
        resume=fields.get("resume", MISSING),
        update=update,
        goto=tuple(t if isinstance(t, str) else Send(t["node"], t["input"]) for t in targets),
    )


def _is_target(target: Any) -> bool:
    if isinstance(target, dict):
        return set(target) == {"node", "input"} and isinstance(target["node"], str)
    return isinstance(target, str)
