"""Workflows over HTTP: what can be run, with what input, and how it looks."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from runs import workflows
from runs.api.base import ApiViewSet, problems
from runs.api.schemas import WorkflowDetailSerializer, WorkflowsSerializer
from runs.workflows import Workflow


@extend_schema(tags=["workflows"])
@extend_schema_view(
    list=extend_schema(
        operation_id="workflows_list",
        summary="List the workflows",
        responses={200: WorkflowsSerializer, **problems(400)},
    ),
    retrieve=extend_schema(
        summary="Look at one workflow and its graph",
        responses={200: WorkflowDetailSerializer, **problems(400, 404)},
    ),
)
class WorkflowViewSet(ApiViewSet):
    """A workflow is a graph with a name, registered by a `workflows` module of an installed app."""

    serializer_class = WorkflowDetailSerializer
    pagination_class = None
    lookup_url_kwarg = "name"
    lookup_value_regex = "[^/]+"

    def list(self, request: Request) -> Response:
        return Response({"results": [_summary(workflows.get(name)) for name in workflows.names()]})

    def retrieve(self, request: Request, name: str) -> Response:
        workflow = workflows.get(name)
        graph = workflow.graph
        drawn = {"graph": graph.to_json(), "mermaid": graph.to_mermaid()}
        return Response(_summary(workflow) | drawn)


def _summary(workflow: Workflow) -> dict[str, Any]:
    return {
        "name": workflow.name,
        "version": workflow.version,
        "description": workflow.description,
        "input_schema": workflow.input_schema,
    }
