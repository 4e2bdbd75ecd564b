"""Letting a run that waits go on: with answers to what it asked, an update, or another way."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from runs import workflows
from runs.engine import Command, GraphError
from runs.engine.checkpoint import Note
from runs.engine.graph.graph import Graph, StateView
from runs.engine.superstep import pending as engine_notes
from runs.errors import Problem
from runs.journal import reading
from runs.lifecycle import transitions
from runs.models import PendingWrite, Run, RunStatus
from runs.validation import type_faults


def resume_run(run_id: UUID, command: Command[Any]) -> Run:
    """Record what was said to an interrupted run and put it back into the queue, in one
    transaction: what is recorded is not lost, whatever dies. Problem 404 for an unknown run, 409
    for one that waits for no answer, 422 for an answer, update or node that does not fit."""
    with transaction.atomic():
        run = Run.objects.select_for_update(no_key=True).filter(pk=run_id).first()
        if run is None:
            raise Problem(404, "unknown_run", f"There is no run {run_id}.")
        if run.status != RunStatus.INTERRUPTED:
            raise Problem(409, "not_interrupted", _why_not(run))
        _record(run, command)
        if not transitions.apply(run, transitions.RESUME, now=timezone.now()):
            raise Problem(409, "not_interrupted", _why_not(run))
        return run


def _why_not(run: Run) -> str:
    told = f"Run {run.pk} is {run.status}: only an interrupted run takes an answer."
    if run.paused_at is not None:
        return f"{told} It is paused: unpause it to let it go on."
    if run.finished:
        return f"{told} Start another one on its thread {run.thread_id}, or replay it."
    return f"{told} /api/runs/{run.pk}/why says what it waits for."


def _record(run: Run, command: Command[Any]) -> None:
    graph = _graph(run, command)
    at = run.checkpoint_id or run.thread.checkpoint_id
    saved = reading.load(str(run.thread_id), "", str(at), str(run.id)) if at else None
    if saved is None:
        raise Problem(409, "not_interrupted", f"Run {run.id} has no checkpoint to go on from.")
    known = engine_notes.read(saved.notes, shown=True)
    if command == Command() and not all(one.stop for one in known.open()):
        questions = engine_notes.some(one.id for one in known.open() if not one.stop)
        detail = f"Nothing is said. Give `resume`, an answer to what waits: {questions}."
        raise Problem(422, "invalid_answer", detail)
    _check_types(run, command)
    try:
        said = engine_notes.resume(graph, str(run.id), saved.checkpoint, known, command)
    except GraphError as error:
        raise Problem(422, "invalid_answer", str(error)) from error
    PendingWrite.objects.bulk_create(_row(run, saved.checkpoint.checkpoint_id, n) for n in said)


def _check_types(run: Run, command: Command[Any]) -> None:
    """Refuse an update with values that nodes could not be given."""
    workflow = workflows.find(run.workflow)
    if workflow is None or not isinstance(command.update, Mapping):
        return
    find = partial(workflow.graph.state_faults, command.update)
    if faults := type_faults(workflow, find, "/update"):
        detail = f"The update does not fit the state: {faults[0]['at']}: {faults[0]['detail']}"
        raise Problem(422, "invalid_answer", detail, faults)


def _graph(run: Run, command: Command[Any]) -> Graph:
    """What the command is checked against. An answer alone needs no graph: a run whose workflow
    this process lacks takes it, and waits for a worker that has the workflow."""
    workflow = workflows.find(run.workflow)
    if workflow is not None:
        return workflow.graph.graph
    if command != Command(resume=command.resume):
        raise workflows.missing(run.workflow, "To check `update` and `goto`")
    return Graph(
        name=run.workflow,
        channels={},
        nodes={},
        edges={},
        branches={},
        joins=(),
        view=StateView(keys=(), build=dict),
        input_keys=(),
        output_keys=(),
    )


def _row(run: Run, checkpoint_id: str, note: Note) -> PendingWrite:
    return PendingWrite(
        thread_id=run.thread_id,
        run_id=run.id,
        checkpoint_id=UUID(checkpoint_id),
        task_id=UUID(note.task_id),
        node=note.node,
        kind=note.kind,
        idx=note.idx,
        value=note.dumps().decode(),
    )
