"""`manage.py resume_run`: answer a run that waits for an answer."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from runs.engine import Command as Said
from runs.engine.types import MISSING
from runs.errors import Problem
from runs.management import database, following
from runs.operations import resume
from runs.validation import value_faults


class Command(BaseCommand):
    help = (
        "Answer an interrupted run, which then goes on. A run that was paused goes on with "
        "`unpause_run`."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run_id", metavar="RUN_ID")
        parser.add_argument(
            "--answer",
            metavar="JSON|@file",
            help="the answer to its first question, or an object of question id and answer",
        )
        parser.add_argument(
            "--update", metavar="JSON|@file", help="written to its state before it goes on"
        )
        parser.add_argument(
            "--goto", action="append", default=[], metavar="NODE", help="run it along; repeatable"
        )
        following.add_follow_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        database.require_migrated()
        run = following.find_run(options["run_id"])
        answer = options["answer"]  # the text: that of an answer of null is "null"
        said: Said[Any] = Said(
            resume=MISSING if answer is None else _value(answer, "--answer"),
            update=_value(options["update"], "--update"),
            goto=tuple(options["goto"]),
        )
        try:
            resumed = resume.resume_run(run.pk, said)
        except Problem as problem:
            raise following.refused(problem) from None
        following.announce(self, resumed, followed=options["follow"], raw=options["raw"])


def _value(text: str | None, option: str) -> Any:
    """The JSON given, which every database keeps; CommandError otherwise."""
    if text is None:
        return None
    value = following.read_json(text, option)
    for fault in value_faults(value, option):
        raise CommandError(f"{fault['at']}: {fault['detail']}", returncode=2)
    return value
