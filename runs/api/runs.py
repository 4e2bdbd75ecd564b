"""Runs over HTTP: create, list, look at, replay."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    extend_schema,
    extend_schema_view,
)
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from runs import workflows
from runs.api import create_run
from runs.api.request_schemas import CancelSerializer, NewRunSerializer, ReplaySerializer
from runs.api.run_actions import Steering
from runs.api.run_filters import EVENTS, FILTERS, STATE, run_filter
from runs.api.schemas import (
    BatchSerializer,
    CheckpointSerializer,
    EventsSerializer,
    RunSerializer,
    RunSummarySerializer,
    StateSerializer,
    WholeFrameSerializer,
    WhySerializer,
)
from runs.engine import serde
from runs.errors import Problem
from runs.http.pagination import PAGE_PARAMETERS, KeysetPagination, NewestId
from runs.http.parameters import parse_uuid
from runs.http.parsers import object_of
from runs.http.request_bodies import KEY
from runs.http.viewset import documented, problems, unknown
from runs.journal import reading
from runs.models import Checkpoint, Run
from runs.operations.cancel import cancel_run
from runs.operations.create_requests import CreateRequest, CreateResult, create
from runs.operations.replay import replay_run
from runs.queries import event_frames, why
from runs.queries.summaries import COLUMNS, detail, summarise, timestamp

NEW_RUN = {"name": "Test Run", "payload": {"input": "hello"}}
CANCEL = {"reason": "no longer needed"}
REPLAY = {"from_step": 2, "set": {}}


@extend_schema(tags=["runs"])
@extend_schema_view(
    create=extend_schema(
        summary="Create a run",
        request=NewRunSerializer,
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                KEY,
                location=OpenApiParameter.HEADER,
                description="Ask again with the same key and body: the same run, with 200.",
            )
        ],
        responses={200: RunSerializer, 201: RunSerializer, **problems(400, 409, 413, 422, 503)},
        examples=[OpenApiExample("The default workflow", NEW_RUN, request_only=True)],
    ),
    list=extend_schema(
        summary="List runs, newest first",
        parameters=documented([*FILTERS, *PAGE_PARAMETERS]),
        responses={200: RunSummarySerializer(many=True), **problems(400, 503)},
    ),
    retrieve=extend_schema(
        summary="Look at one run", responses={200: RunSerializer, **problems(404, 503)}
    ),
)
class RunViewSet(Steering):
    """A run is one execution of a workflow. It is durable once it has been answered with 201."""

    queryset = Run.objects.all()
    serializer_class = RunSerializer
    pagination_class = KeysetPagination
    lookup_url_kwarg = "run_id"
    lookup_value_regex = "[^/]+"
    examples = {"POST": NEW_RUN}
    query = {
        "list": (*FILTERS, *PAGE_PARAMETERS),
        "state": STATE,
        "checkpoints": PAGE_PARAMETERS,
        "events": EVENTS,
    }

    def create(self, request: Request) -> Response:
        key = request.headers.get("Idempotency-Key")
        return self._created(create_run.parse_create(request.data, key))

    def list(self, request: Request) -> Response:
        return self.page(Run.objects.values(*COLUMNS).filter(run_filter(self.values)), summarise)

    def retrieve(self, request: Request, run_id: str) -> Response:
        return Response(detail(_find(run_id)))

    @extend_schema(
        summary="Create many runs, all or none",
        description="A list of up to 1,000 runs, each as in `POST /api/runs/`.",
        request=NewRunSerializer(many=True),
        responses={201: BatchSerializer, **problems(400, 413, 422, 503)},
        examples=[OpenApiExample("One run", NEW_RUN, request_only=True)],
    )
    @action(detail=False, methods=["post"], pagination_class=None)
    def batch(self, request: Request) -> Response:
        key = request.headers.get("Idempotency-Key")
        return self._created(create_run.parse_create_batch(request.data, key), many=True)

    @extend_schema(
        summary="Read the state of a run",
        parameters=documented(STATE),
        responses={200: StateSerializer, **problems(400, 404, 409, 503)},
    )
    @action(detail=True)
    def state(self, request: Request, run_id: str) -> Response:
        run = _find(run_id, "id", "thread_id", "checkpoint_id", "workflow")
        asked: UUID | None = self.values["checkpoint"]
        return Response(_state(run, asked or run.checkpoint_id))

    @extend_schema(
        summary="List the checkpoints of a run, newest first",
        parameters=documented(PAGE_PARAMETERS),
        responses={200: CheckpointSerializer(many=True), **problems(400, 404, 503)},
    )
    @action(detail=True, pagination_class=NewestId)
    def checkpoints(self, request: Request, run_id: str) -> Response:
        run = _find(run_id, "id")
        return self.page(Checkpoint.objects.filter(run=run).defer("versions"), _checkpoint)

    @extend_schema(
        summary="Read the events of a run",
        description="In order, the same frames that the WebSocket sends. Ask again with"
        " `after` until a frame is `completed`, `failed` or `cancelled`.",
        parameters=documented(EVENTS),
        responses={200: EventsSerializer, **problems(400, 404, 503)},
    )
    @action(detail=True, pagination_class=None)
    def events(self, request: Request, run_id: str) -> Response:
        after, limit = self.values["after"], self.values["limit"]
        run_uuid = parse_uuid(run_id)
        page = (
            event_frames.read({run_uuid: after}, limit=limit) if run_uuid else event_frames.Page()
        )
        if not page:
            _find(run_id, "id")  # a run without new events is answered, an unknown run is not
        return Response(event_frames.events_page(page, after, limit))

    @extend_schema(
        operation_id="runs_event_retrieve",
        summary="Read one event of a run, whole",
        description="A frame whose `data` was too long to be sent has this address in `data_url`.",
        responses={200: WholeFrameSerializer, **problems(404, 503)},
    )
    @action(detail=True, pagination_class=None, url_path="events/(?P<seq>[0-9]{1,18})")
    def event(self, request: Request, run_id: str, seq: str) -> Response:
        run_uuid = parse_uuid(run_id)
        body = event_frames.read_whole(run_uuid, int(seq)) if run_uuid else None
        if body is None:
            _find(run_id, "id")
            raise Problem(
                404,
                "unknown_event",
                f"The run has no event {int(seq)}. /api/runs/{run_id}/events lists them.",
            )
        return Response(orjson.Fragment(body))

    @extend_schema(
        summary="Replay a run, from the beginning or from a step",
        request=ReplaySerializer,
        responses={201: RunSerializer, **problems(400, 404, 422, 503)},
        examples=[OpenApiExample("From the checkpoint of step 2", REPLAY, request_only=True)],
    )
    @action(detail=True, methods=["post"])
    def replay(self, request: Request, run_id: str) -> Response:
        run_uuid = parse_uuid(run_id)
        if run_uuid is None:
            raise unknown("run", run_id)
        fields = object_of(request.data, ReplaySerializer().fields)
        run = replay_run(
            run_uuid, from_step=_step(fields.get("from_step")), changes=fields.get("set")
        )
        return self._answer(CreateResult(runs=[run]))

    @extend_schema(
        summary="Tell why a run is not moving",
        responses={200: WhySerializer, **problems(404, 503)},
    )
    @action(detail=True)
    def why(self, request: Request, run_id: str) -> Response:
        run = _find(run_id)
        causes = [
            {"code": cause.code, "detail": cause.detail, "until": timestamp(cause.until)}
            for cause in why.causes(run, timezone.now())
        ]
        return Response({"run_id": str(run.id), "status": run.status, "causes": causes})

    @extend_schema(
        summary="Cancel a run",
        description="202: it is on record, and the run ends as `cancelled` when its worker has"
        " stopped it. 200: it has ended so. What it streamed and kept until then stays.",
        request=CancelSerializer,
        responses={200: RunSerializer, 202: RunSerializer, **problems(400, 404, 409, 422, 503)},
        examples=[OpenApiExample("With a reason", CANCEL, request_only=True)],
    )
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, run_id: str) -> Response:
        run_uuid = parse_uuid(run_id)
        if run_uuid is None:
            raise unknown("run", run_id)
        fields = object_of(request.data, CancelSerializer().fields)
        run = cancel_run(run_uuid, by=self.who(), reason=fields.get("reason", ""))
        return Response(detail(run), status=200 if run.finished else 202)

    def _created(self, request: CreateRequest, *, many: bool = False) -> Response:
        return self._answer(create(request), many=many)

    def _answer(self, result: CreateResult, *, many: bool = False) -> Response:
        return Response(
            create_run.content(result, many=many),
            status=create_run.status(result),
            headers=create_run.headers(result, many=many),
        )


def _find(run_id: str, *columns: str) -> Run:
    """The run, with `columns` only where some are named; Problem 404 when there is none."""
    runs: QuerySet[Run] = Run.objects.only(*columns) if columns else Run.objects.all()
    run_uuid = parse_uuid(run_id)
    run = runs.filter(pk=run_uuid).first() if run_uuid else None
    if run is None:
        raise unknown("run", run_id)
    return run


def _state(run: Run, checkpoint_id: UUID | None) -> dict[str, Any]:
    if checkpoint_id is None:
        nothing: dict[str, Any] = {"checkpoint_id": None, "step": None, "values": {}, "next": []}
        return {"run_id": str(run.id)} | nothing
    workflow = workflows.find(run.workflow)
    if workflow is None:  # its channels' reducers make the values of what is stored
        raise workflows.missing(run.workflow, "To read this state")
    view = reading.read_state(workflow.graph.graph, run.thread_id, checkpoint_id)
    if view is None:
        raise Problem(
            404,
            "unknown_checkpoint",
            f"The thread of this run has no checkpoint {checkpoint_id}."
            f" /api/runs/{run.id}/checkpoints lists them.",
        )
    return {
        "run_id": str(run.id),
        "checkpoint_id": view.checkpoint.checkpoint_id,
        "step": view.checkpoint.step,
        "values": serde.plain(view.values),
        "next": view.checkpoint.frontier.next_nodes,
    }


def _checkpoint(row: Checkpoint) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "step": row.step,
        "source": row.source,
        "parent_id": str(row.parent_id) if row.parent_id else None,
        "namespace": row.path,
        "next": row.next_nodes,
        "created_at": timestamp(row.created_at),
    }


def _step(value: Any) -> int | None:
    # JSON's true is Python's 1.
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise create_run.invalid("/from_step", "This must be a whole number from 0.")
