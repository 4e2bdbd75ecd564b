"""Health over HTTP: whether runs are accepted and whether anyone executes them."""

from __future__ import annotations

import logging
from typing import Any

from django.db import connection
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from runs.api.schemas import HealthSerializer
from runs.conf import conf
from runs.db import errors
from runs.db.errors import TRANSIENT
from runs.db.guard import open_transactions
from runs.db.guard.open_transactions import OpenTransaction
from runs.db.sqlite3 import database_file
from runs.http.viewset import ApiViewSet
from runs.models import Run, RunStatus, Worker
from runs.process import slots
from runs.queries import slot_holders
from runs.scheduling import availability, stalls
from runs.scheduling.stalls import Standstill

logger = logging.getLogger(__name__)


@extend_schema(tags=["health"])
@extend_schema_view(
    list=extend_schema(
        operation_id="health_retrieve",
        summary="Ask whether the server works",
        description="200 with `ok`, or with `degraded` when runs are accepted but no worker is"
        " alive to execute them, something else holds what workers need, a node blocks"
        " the event loop or all threads of a worker, or a transaction keeps the database locked;"
        " 503 with `down` when the database does not answer, or its file is gone or damaged."
        " `checks` names the broken part.",
        responses={200: HealthSerializer, 503: HealthSerializer},
    )
)
class HealthViewSet(ApiViewSet):
    """Cheap enough to be asked every second: it counts live rows only, whatever the history."""

    serializer_class = HealthSerializer
    pagination_class = None

    def list(self, request: Request) -> Response:
        try:
            database_file.check_all(connection)
            since = availability.oldest_live_heartbeat(timezone.now())
            workers = Worker.objects.filter(heartbeat_at__gte=since)
            awake = list(workers.values_list("awake", flat=True))
            obstacle = "" if any(awake) else _obstacle()
            # One count per status: each is answered by its partial index.
            live = {
                str(status): Run.objects.filter(status=status).order_by().count()
                for status in (RunStatus.PENDING, RunStatus.RUNNING)
            }
        except TRANSIENT as error:
            logger.warning("Health check: %s", error)
            return Response(_down(errors.explain(error)), status=503)
        if damage := errors.damage():
            return Response(_down(damage), status=503)
        long = open_transactions.published()
        return Response(_up(len(awake), obstacle, live, long, stalls.published()))


def _obstacle() -> str:
    """What keeps the workers of this host from executing anything; empty when nothing does."""
    if why := slots.fault():
        return why
    holders = slot_holders.blocking(timezone.now())
    return slot_holders.advice(holders) if holders else ""


def _up(
    alive: int,
    obstacle: str,
    live: dict[str, int],
    transactions: list[OpenTransaction],
    still: list[Standstill],
) -> dict[str, Any]:
    locked = any(transaction.locks_database for transaction in transactions)
    answers = " ".join(["It answers.", *map(str, transactions)])
    working = alive > 0 and not obstacle and not still
    if obstacle:
        workers = obstacle
    elif alive:
        workers = " ".join([f"{alive} alive.", *map(str, still)])
    else:
        workers = (
            "No worker is alive: runs wait until one is started (`manage.py serve` starts them)."
        )
    return {
        "status": "ok" if working and not locked else "degraded",
        "version": conf().version,
        "checks": {
            "database": {"ok": not locked, "detail": answers},
            "workers": {"ok": working, "alive": alive, "detail": workers},
        },
        "runs": live,
    }


def _down(why: str) -> dict[str, Any]:
    database = why or "It does not answer, or is not migrated; the server's log says why."
    database = " ".join([database, *map(str, open_transactions.published())])
    return {
        "status": "down",
        "version": conf().version,
        "checks": {
            "database": {"ok": False, "detail": database},
            "workers": {"ok": False, "alive": None, "detail": "Unknown without the database."},
        },
        "runs": None,
    }
