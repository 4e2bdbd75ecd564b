"""What the commands that start or follow runs have in common: reading JSON from the command line,
printing events as they come, and saying when nobody is there to execute."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from runs.db.retry import while_away
from runs.engine import events
from runs.errors import Problem
from runs.models import TERMINAL, Run, RunStatus
from runs.queries import event_frames
from runs.queries.event_frames import Frame
from runs.scheduling import availability

LOOK_SECONDS = 0.05
BATCH = 500
#: How long a run may stay unclaimed before we say that nobody is there. A new cluster has no
#: worker on record before its first run.
PATIENCE = timedelta(seconds=1)
WIDTH = 100
NO_WORKER = (
    "No worker is running; start one with `manage.py serve`. The run is stored and will start then."
)

#: The exit codes of a run's end.
COMPLETED, FAILED, CANCELLED = 0, 1, 2
INTERRUPTED = 130  # as a shell says it of Ctrl-C

Say = Callable[[str], object]
T = TypeVar("T")


def add_follow_arguments(parser: CommandParser) -> None:
    parser.add_argument("--follow", action="store_true", help="print the run's events to its end")
    add_json_argument(parser)


def add_json_argument(parser: CommandParser) -> None:
    parser.add_argument(
        "--json", action="store_true", dest="raw", help="print events as JSON, one a line"
    )


def read_json(text: str, option: str) -> Any:
    """The JSON in an option's value, or in the file that `@file` names; CommandError otherwise."""
    source = option
    if text.startswith("@"):
        source = text[1:]
        try:
            text = Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise CommandError(f"{source} cannot be read: {error}", returncode=2) from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(
            f'{source} is not JSON: {error}. Text is quoted: \'{{"input": "hello"}}\'.',
            returncode=2,
        ) from None


def read_changes(pairs: Sequence[str]) -> dict[str, Any]:
    """`key=JSON` pairs as a dictionary."""
    changes: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise CommandError(f"--set {pair}: write it as key=JSON.", returncode=2)
        changes[key] = read_json(value, f"--set {key}")
    return changes


def find_run(run_id: str) -> Run:
    """The run with this id; CommandError when there is none."""
    try:
        return Run.objects.only("id", "status", "seq", "created_at").get(pk=UUID(run_id))
    except (ValueError, Run.DoesNotExist):
        raise CommandError(f"There is no run {run_id}.", returncode=2) from None


def refused(problem: Problem) -> CommandError:
    """A Problem as these commands say it: the sentence, which names the first fault, and below it
    all of them when there are more."""
    faults = problem.errors if len(problem.errors) > 1 else []
    lines = [problem.detail, *(f"  {fault['at']}: {fault['detail']}" for fault in faults)]
    return CommandError("\n".join(lines), returncode=2)


def announce(command: BaseCommand, run: Run, *, followed: bool, raw: bool) -> None:
    """What is said of a run that was just made: its id, whether somebody is there for it, and with
    `followed` its events and the exit code of its end."""
    command.stdout.write(str(run.pk))
    command.stdout.flush()
    try:
        _warn_unless_executed(run, command.stderr.write)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    if followed:
        say, warn = command.stdout.write, command.stderr.write
        sys.exit(follow(run, after=0, raw=raw, say=say, warn=warn))


def _warn_unless_executed(run: Run, warn: Say) -> None:
    """Give a run that was just made a moment to be claimed; say so when nobody is there for it."""
    if availability.alive():
        if missing := nobody_has(run):
            warn(missing)
        return
    until = timezone.now() + PATIENCE
    while timezone.now() < until:
        if not unclaimed(run):
            return
        time.sleep(LOOK_SECONDS)
    if nobody_there(run):
        warn(NO_WORKER)


def nobody_has(run: Run) -> str:
    """A sentence for a run that waits though workers are alive: none of them has its workflow."""
    workers = availability.alive()
    if not workers or availability.having(workers, run.workflow) or not unclaimed(run):
        return ""
    return availability.missing_detail(run.workflow)


def nobody_there(run: Run) -> bool:
    """Whether the run waits and no worker is alive."""
    return unclaimed(run) and not availability.alive()


def unclaimed(run: Run) -> bool:
    return Run.objects.filter(pk=run.pk, status=RunStatus.PENDING).exists()


def follow(run: Run, *, after: int, raw: bool, say: Say, warn: Say) -> int:
    """Print the events of `run` from seq `after` + 1 until its last, and return the exit code that
    says how it ended. Ctrl-C stops the following, not the run."""
    seen = after
    try:
        while True:
            found = _patiently(partial(event_frames.read, {run.pk: seen}, limit=BATCH), warn)
            for frame in found:
                say(frame.body.decode() if raw else readable(frame))
                seen = frame.seq
                if frame.terminal:
                    if not raw:
                        _say_error(run, say)
                    return exit_code(frame.event)
            if not found:
                if ended := _patiently(partial(_ended_before, run, seen), warn):
                    return exit_code(ended)
                time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        warn(
            "Stopped following; the run goes on. To follow it again: "
            f"manage.py follow {run.pk} --after {seen}"
        )
        return INTERRUPTED


def _patiently(query: Callable[[], T], warn: Say) -> T:
    """The answer of `query`, however long the database is away."""
    return while_away(query, who="this command", log=warn)


def _say_error(run: Run, say: Say) -> None:
    """The whole error of a run that failed, as one block: what its last event shows is cut."""
    error = Run.objects.values_list("error", flat=True).filter(pk=run.pk).first()
    if not error:
        return
    told = error.get("traceback") or f"{error['type']}: {error['message']}"
    say("\n" + "\n".join(_printable(line) for line in told.rstrip().split("\n")))


def _printable(line: str) -> str:
    """Lone surrogates and control characters must not reach the terminal."""
    return "".join(char if char.isprintable() else "\ufffd" for char in line)


def _ended_before(run: Run, seen: int) -> str:
    """The status of a run whose last event was asked to be skipped (or is beyond its end)."""
    row = Run.objects.filter(pk=run.pk).values("status", "seq").first()
    if row is None:
        raise CommandError(f"Run {run.pk} was deleted.", returncode=2)
    # Status and seq change in one transaction: an ended run with nothing after `seen` is over.
    over = row["status"] in TERMINAL and row["seq"] <= seen
    return str(row["status"]) if over else ""


def exit_code(event: str) -> int:
    return {events.COMPLETED: COMPLETED, events.FAILED: FAILED}.get(event, CANCELLED)


def readable(frame: Frame) -> str:
    """An event on one line: time, number, name, node and the beginning of its data."""
    body = json.loads(frame.body)
    node = body.get("node", "")
    line = f"{body['ts'][11:23]}  {frame.seq:>4}  {frame.event:<12}  {node:<14}"
    data = body.get("data")
    if data is not None:
        shown = json.dumps(data, ensure_ascii=False)
        line += "  " + (shown if len(shown) <= WIDTH else shown[: WIDTH - 1] + "…")
    return _printable(line.rstrip())
