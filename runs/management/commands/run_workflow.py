"""`manage.py run_workflow`: start a run from the command line."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandParser

from runs.engine.journal.durability import DURABILITIES
from runs.errors import Problem
from runs.management import database, following
from runs.operations.create import create_run
from runs.operations.multitask import ENQUEUE, STRATEGIES
from runs.operations.new_run import NewRun


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
        parser.add_argument(
            "--durability",
            choices=DURABILITIES,
            default="sync",
            help="when its steps are kept: before the next, while it goes on, or when it stops",
        )
        parser.add_argument("--priority", type=int, default=0, help="higher ones begin first")
        parser.add_argument(
            "--concurrency-key", metavar="KEY", help="runs of one key share its places"
        )
        parser.add_argument(
            "--concurrency-limit", type=int, metavar="N", help="so many runs of its key at once"
        )
        parser.add_argument(
            "--thread", type=_thread_id, metavar="ID", help="go on with the state of this thread"
        )
        parser.add_argument(
            "--multitask-strategy",
            choices=STRATEGIES,
            default=ENQUEUE,
            help="what becomes of unfinished runs of the thread",
        )
        following.add_follow_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        database.require_migrated()
        new = NewRun(
            workflow=options["workflow"],
            payload=following.read_json(options["payload"], "--payload"),
            name=options["name"],
            tags=[tag.strip() for tag in options["tags"].split(",") if tag.strip()],
            durability=options["durability"],
            priority=options["priority"],
            thread=options["thread"],
            concurrency_key=options["concurrency_key"],
            concurrency_limit=options["concurrency_limit"],
            multitask_strategy=options["multitask_strategy"],
        )
        try:
            run = create_run(new)
        except Problem as problem:
            raise following.refused(problem) from None
        following.announce(self, run, followed=options["follow"], raw=options["raw"])


def _thread_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not the id of a thread") from None
