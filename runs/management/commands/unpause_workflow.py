"""`manage.py unpause_workflow`: let the runs of a paused workflow go on."""

from __future__ import annotations

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from runs.errors import Problem
from runs.management import database, following
from runs.operations import pause


class Command(BaseCommand):
    help = "Let the runs of a paused workflow go on, except those that are paused themselves."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("workflow", metavar="NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        database.require_migrated()
        try:
            pause.unpause_workflow(options["workflow"], by=getpass.getuser())
        except Problem as problem:
            raise following.refused(problem) from None
        self.stdout.write(f"Workflow {options['workflow']} may go on.")
