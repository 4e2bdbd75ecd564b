"""`manage.py check_artifacts`: whether every artifact still has the bytes that were stored."""

from __future__ import annotations

from collections import deque
from itertools import groupby
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from artifacts.models import Artifact
from artifacts.store import store
from runs.http.parameters import parse_uuid
from runs.management import database
from runs.models import Run


class Command(BaseCommand):
    help = (
        "Read the file of every artifact and compare its size and SHA-256 with the record. Ends"
        " with 1 when one is missing or changed, and names it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--run", metavar="RUN_ID", help="artifacts of this run only")

    def handle(self, *args: Any, run: str | None, **options: Any) -> None:
        database.require_migrated()
        found = Artifact.objects.order_by("sha256", "id").only(
            "id", "run", "name", "sha256", "size"
        )
        if run is not None:
            found = found.filter(run_id=_known(run))
        total = lost = 0
        for _, same in groupby(found.iterator(), key=lambda one: (one.sha256, one.size)):
            artifacts = list(same)
            total += len(artifacts)
            if why := _why_lost(artifacts[0]):
                lost += len(artifacts)
                for one in artifacts:
                    self.stdout.write(f"{one.id}  run {one.run_id}  {one.name}: {why}")
        if lost:
            raise CommandError(
                f"{lost} of {total} artifacts are lost. Put their files back from a backup, or"
                " replay their runs to make them again."
            )
        self.stdout.write(f"All {total} artifacts are as they were stored.")


def _known(run: str) -> UUID:
    """The id of a run that there is."""
    run_id = parse_uuid(run)
    if run_id is None:
        raise CommandError(f"{run!r} is no run's id.")
    if not Run.objects.filter(pk=run_id).exists():
        raise CommandError(
            f"There is no run {run_id}: it was deleted, or is in another database. Leave --run out"
            " to check all artifacts."
        )
    return run_id


def _why_lost(artifact: Artifact) -> str:
    """What is wrong with the bytes of `artifact`; empty when nothing is. Reads all of them."""
    try:
        file = store().open_checked(artifact.sha256, artifact.size)
        try:
            deque(file.pieces(), maxlen=0)
        finally:
            file.close()
    except (OSError, ValueError) as error:  # BytesLost is one
        return str(error)
    return ""
