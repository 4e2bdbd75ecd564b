"""Health over HTTP: whether runs are accepted and whether anyone executes them."""

from __future__ import annotations

import logging
from typing import Any

from django.db import DatabaseError, InterfaceError
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from runs.api.base import ApiViewSet
from runs.api.schemas import HealthSerializer
from runs.api.workers import alive_since
from runs.conf import conf
from runs.models import Run, RunStatus, Worker

logger = logging.getLogger(__name__)


@extend_schema(tags=["health"])
@extend_schema_view(
    list=extend_schema(
        operation_id="health_retrieve",
        summary="Ask whether the server works",
        description="200 with `ok`, or with `degraded` when runs are accepted but no worker is"
        " alive to execute them; 503 with `down` when the database does not answer. `checks`"
        " names the broken part.",
        responses={200: HealthSerializer, 503: HealthSerializer},
    )
)
class HealthViewSet(ApiViewSet):
    """Cheap enough to be asked every second: it counts live rows only, whatever the history."""

    serializer_class = HealthSerializer
    pagination_class = None

    def list(self, request: Request) -> Response:
        try:
            alive = Worker.objects.filter(heartbeat_at__gte=alive_since()).count()
            # One count per status: each is answered by its partial index.
            live = {
                str(status): Run.objects.filter(status=status).order_by().count()
                for status in (RunStatus.PENDING, RunStatus.RUNNING)
            }
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Health check: %s", error)
            return Response(_down(), status=503)
        return Response(_up(alive, live))


def _up(alive: int, live: dict[str, int]) -> dict[str, Any]:
    workers = (
        f"{alive} alive."
        if alive
        else "No worker is alive: runs wait until one is started (`manage.py serve` starts them)."
    )
    return {
        "status": "ok" if alive else "degraded",
        "version": conf().version,
        "checks": {
            "database": {"ok": True, "detail": "It answers."},
            "workers": {"ok": alive > 0, "alive": alive, "detail": workers},
        },
        "runs": live,
    }


def _down() -> dict[str, Any]:
    database = "It does not answer, or is not migrated; the server's log says why."
    return {
        "status": "down",
        "version": conf().version,
        "checks": {
            "database": {"ok": False, "detail": database},
            "workers": {"ok": False, "alive": None, "detail": "Unknown without the database."},
        },
        "runs": None,
    }
