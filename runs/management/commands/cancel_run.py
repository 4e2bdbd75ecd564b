"""`manage.py cancel_run`: end a run before its end."""

from __future__ import annotations

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from runs.errors import Problem
from runs.management import database, following
from runs.operations.cancel import cancel_run


class Command(BaseCommand):
    help = (
        "Cancel a run. One that is being executed ends when its worker has stopped it; what it "
        "kept until then stays."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run_id", metavar="RUN_ID")
        parser.add_argument("--reason", default="", help="kept with the run")

    def handle(self, *args: Any, **options: Any) -> None:
        database.require_migrated()
        run = following.find_run(options["run_id"])
        try:
            cancelled = cancel_run(run.pk, by=getpass.getuser(), reason=options["reason"])
        except Problem as problem:
            raise following.refused(problem) from None
        self.stdout.write(
            f"Run {run.pk} is cancelled."
            if cancelled.finished
            else f"Run {run.pk} will be cancelled: its worker was asked to stop it."
        )
