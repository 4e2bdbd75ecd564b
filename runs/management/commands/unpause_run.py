"""`manage.py unpause_run`: let a paused run go on."""

from __future__ import annotations

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from runs.errors import Problem
from runs.management import database, following
from runs.operations import pause


class Command(BaseCommand):
    help = "Let a paused run go on where it was. An interrupted run is answered with `resume_run`."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run_id", metavar="RUN_ID")

    def handle(self, *args: Any, **options: Any) -> None:
        database.require_migrated()
        run = following.find_run(options["run_id"])
        try:
            pause.unpause_run(run.pk, by=getpass.getuser())
        except Problem as problem:
            raise following.refused(problem) from None
        self.stdout.write(f"Run {run.pk} may go on.")
