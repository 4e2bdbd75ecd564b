"""`manage.py replay_run`: run it again, from the beginning or from one of its steps."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from runs.errors import Problem
from runs.management import database, following
from runs.operations.replay import replay_run


class Command(BaseCommand):
    help = (
        "Start a new run from an old one and print its id. Without --from-step it begins again "
        "with the payload; with it, it goes on from the state after that step."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run_id", metavar="RUN_ID")
        parser.add_argument("--from-step", type=int, metavar="N")
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="KEY=JSON",
            help="another value: of the payload, or with --from-step of the state; repeatable",
        )
        following.add_follow_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        database.require_migrated()
        source = following.find_run(options["run_id"])
        changes = following.read_changes(options["set"])
        try:
            run = replay_run(source.pk, from_step=options["from_step"], changes=changes)
        except Problem as problem:
            raise following.refused(problem) from None
        following.announce(self, run, followed=options["follow"], raw=options["raw"])
