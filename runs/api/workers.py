"""Workers over HTTP: which processes execute runs, as they last reported."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from runs.api.schemas import WorkersSerializer
from runs.http.viewset import ApiViewSet, problems
from runs.models import Worker
from runs.queries.summaries import timestamp
from runs.scheduling import availability, leases

#: The newest; rows of processes that are gone are swept, so more than these is no usual sight.
MOST = 200


@extend_schema(tags=["workers"])
@extend_schema_view(
    list=extend_schema(
        operation_id="workers_list",
        summary="List the workers, newest first",
        responses={200: WorkersSerializer, **problems(400, 503)},
    )
)
class WorkerViewSet(ApiViewSet):
    """A worker is a process that executes runs."""

    queryset = Worker.objects.all()
    serializer_class = WorkersSerializer
    pagination_class = None

    def list(self, request: Request) -> Response:
        since = availability.oldest_live_heartbeat(timezone.now())
        in_flight = leases.in_flight()
        return Response(
            {
                "results": [
                    {
                        "id": str(worker.id),
                        "host": worker.host,
                        "pid": worker.pid,
                        "started_at": timestamp(worker.started_at),
                        "heartbeat_at": timestamp(worker.heartbeat_at),
                        "awake": worker.awake,
                        "in_flight": in_flight.get(worker.id, 0),
                        "capacity": worker.capacity,
                        "workflows": worker.workflows,
                        "alive": worker.heartbeat_at >= since,
                    }
                    for worker in Worker.objects.order_by("-started_at", "-id")[:MOST]
                ]
            }
        )
