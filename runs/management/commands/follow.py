"""`manage.py follow`: print a run's events as they come."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from runs.management import database, following


class Command(BaseCommand):
    help = (
        "Print the events of a run, past ones first, until its last. The exit code is 0 for "
        "completed, 1 for failed and 2 for cancelled. Ctrl-C stops following, not the run."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run_id", metavar="RUN_ID")
        parser.add_argument(
            "--after", type=int, default=0, metavar="N", help="skip the events up to number N"
        )
        following.add_json_argument(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        database.require_migrated()
        if options["after"] < 0:
            raise CommandError("--after is the number of an event, 0 or more.", returncode=2)
        run = following.find_run(options["run_id"])
        if following.nobody_there(run):
            self.stderr.write(following.NO_WORKER)
        elif missing := following.nobody_has(run):
            self.stderr.write(missing)
        code = following.follow(
            run,
            after=options["after"],
            raw=options["raw"],
            say=self.stdout.write,
            warn=self.stderr.write,
        )
        sys.exit(code)
