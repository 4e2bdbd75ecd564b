"""`manage.py run_workflow`: start a run from the command line."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from runs.errors import Problem
from runs.management import database, following
from runs.manager import NewRun, create_run


class Command(BaseCommand):
    help = (
        "Start a run of a workflow and print its id. With --follow print its events to the end; "
        "the exit code is then 0 for completed, 1 for failed and 2 for cancelled."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("workflow", metavar="NAME")
        parser.add_argument(
            "--payload", default="{}", metavar="JSON|@file", help='like \'{"input": "hello"}\''
        )
        parser.add_argument("--name", default="", help="what to call the run")
        parser.add_argument("--tags", default="", metavar="A,B", help="separated by commas")
        following.add_follow_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        database.require_migrated()
        new = NewRun(
            workflow=options["workflow"],
            payload=following.read_json(options["payload"], "--payload"),
            name=options["name"],
            tags=[tag.strip() for tag in options["tags"].split(",") if tag.strip()],
        )
        try:
            run = create_run(new)
        except Problem as problem:
            raise following.refused(problem) from None
        following.announce(self, run, followed=options["follow"], raw=options["raw"])
