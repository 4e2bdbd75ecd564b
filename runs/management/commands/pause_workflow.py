"""`manage.py pause_workflow`: keep all runs of a workflow from going on."""

from __future__ import annotations

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from runs.errors import Problem
from runs.management import database, following
from runs.operations import pause


class Command(BaseCommand):
    help = (
        "Pause a workflow: no worker takes a run of it until `unpause_workflow`. Those that are "
        "being executed go back to the queue when their present step has ended; new ones wait."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("workflow", metavar="NAME")
        parser.add_argument("--reason", default="", help="kept with the pause")

    def handle(self, *args: Any, **options: Any) -> None:
        database.require_migrated()
        name, reason = options["workflow"], options["reason"]
        try:
            pause.pause_workflow(name, by=getpass.getuser(), reason=reason)
        except Problem as problem:
            raise following.refused(problem) from None
        self.stdout.write(f"Workflow {name} is paused.")
