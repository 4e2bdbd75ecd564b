"""Workflows over HTTP: what can be run, with what input, and how it looks."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from runs import workflows
from runs.api.request_schemas import PauseSerializer
from runs.api.run_actions import REASON, nothing_in
from runs.api.schemas import WorkflowDetailSerializer, WorkflowPauseSerializer, WorkflowsSerializer
from runs.http.parsers import object_of
from runs.http.viewset import ApiViewSet, problems
from runs.lifecycle import pauses
from runs.models import WorkflowPause
from runs.operations import pause as operations_pause
from runs.queries import summaries
from runs.workflows import Workflow


@extend_schema(tags=["workflows"])
@extend_schema_view(
    list=extend_schema(
        operation_id="workflows_list",
        summary="List the workflows",
        responses={200: WorkflowsSerializer, **problems(400, 503)},
    ),
    retrieve=extend_schema(
        summary="Look at one workflow and its graph",
        responses={200: WorkflowDetailSerializer, **problems(400, 404, 503)},
    ),
)
class WorkflowViewSet(ApiViewSet):
    """A workflow is a graph with a name, registered by a `workflows` module of an installed app."""

    serializer_class = WorkflowDetailSerializer
    pagination_class = None
    lookup_url_kwarg = "name"
    # A name may have slashes, which come here decoded; it does not end as the actions below do.
    lookup_value_regex = r"(?:[^/]+|[\s\S]*/(?!(?:un)?pause/?$)[^/]+)"

    def list(self, request: Request) -> Response:
        paused = pauses.of_workflows()
        found = [workflows.get(name) for name in workflows.names()]
        return Response({"results": [_summary(one, paused.get(one.name)) for one in found]})

    def retrieve(self, request: Request, name: str) -> Response:
        workflow = workflows.get(name)
        graph = workflow.graph
        drawn = {"graph": graph.to_json(), "mermaid": graph.to_mermaid()}
        return Response(_summary(workflow, pauses.of_workflow(name)) | drawn)

    @extend_schema(
        summary="Pause a workflow",
        description="No worker takes a run of it from now on; who executes one gives it back when"
        " its present superstep has ended. New runs are accepted, and wait.",
        request=PauseSerializer,
        responses={200: WorkflowPauseSerializer, **problems(400, 404, 422, 503)},
        examples=[OpenApiExample("With a reason", REASON, request_only=True)],
    )
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, name: str) -> Response:
        fields = object_of(request.data, PauseSerializer().fields)
        reason = fields.get("reason", "")
        return Response(_pause(operations_pause.pause_workflow(name, by=self.who(), reason=reason)))

    @extend_schema(
        summary="Let the runs of a paused workflow go on",
        request=None,
        responses={200: WorkflowPauseSerializer, **problems(400, 404, 409, 422, 503)},
    )
    @action(detail=True, methods=["post"])
    def unpause(self, request: Request, name: str) -> Response:
        nothing_in(request.data)
        return Response(_pause(operations_pause.unpause_workflow(name, by=self.who())))


def _summary(workflow: Workflow, pause: WorkflowPause | None) -> dict[str, Any]:
    paused = (pause.paused_at, pause.paused_by, pause.reason) if pause else (None, "", "")
    return {
        "name": workflow.name,
        "version": workflow.version,
        "description": workflow.description,
        "input_schema": workflow.input_schema,
        "concurrency_limit": workflow.concurrency_limit,
        "pause": summaries.pause(*paused),
    }


def _pause(pause: WorkflowPause) -> dict[str, Any]:
    return {
        "workflow": pause.workflow,
        "paused_at": summaries.timestamp(pause.paused_at),
        "by": pause.paused_by,
        "reason": pause.reason,
        "ended_at": summaries.timestamp(pause.ended_at),
        "ended_by": pause.ended_by,
    }
