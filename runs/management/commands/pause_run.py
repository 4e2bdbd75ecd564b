"""`manage.py pause_run`: keep a run from going on."""

from __future__ import annotations

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from runs.errors import Problem
from runs.management import database, following
from runs.operations import pause


class Command(BaseCommand):
    help = (
        "Pause a run: no worker takes it until `unpause_run`. One that is being executed goes "
        "back to the queue when its present step has ended."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run_id", metavar="RUN_ID")
        parser.add_argument("--reason", default="", help="kept with the pause")

    def handle(self, *args: Any, **options: Any) -> None:
        database.require_migrated()
        run = following.find_run(options["run_id"])
        try:
            paused = pause.pause_run(run.pk, by=getpass.getuser(), reason=options["reason"])
        except Problem as problem:
            raise following.refused(problem) from None
        then = " It stops when its present step has ended." if paused.lease_owner else ""
        self.stdout.write(f"Run {run.pk} is paused.{then}")
