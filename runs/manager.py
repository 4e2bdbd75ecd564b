"""Creating runs, new ones or such that go on from where another was, and cancelling them.

Each function is one transaction: the thread, the run, its first event and the wake-up exist
together or not at all. When it returns, the run is durable. What cannot be done is a Problem, and
nothing was written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, transaction
from django.db.models import Max, Min
from django.utils import timezone

from runs import cancellation, doorbell, keys, multitask, wakeup, workflows
from runs.db import statements
from runs.db.transaction import fast_transaction
from runs.engine import names
from runs.engine.durability import DURABILITIES
from runs.engine.events import CREATED
from runs.errors import Problem
from runs.forks import fork
from runs.models import Checkpoint, Event, Payload, Run, RunStatus, Thread
from runs.payloads import Fault, pointer, schema_faults, type_faults, value_faults

MAX_NAME = 200
MAX_TAGS = 20
MAX_TAG = 64
MAX_REASON = 500
MAX_BATCH = 1000
MAX_PRIORITY = 100


@dataclass(frozen=True, kw_only=True)
class NewRun:
    """What is asked for. Without `thread` the run gets one of its own; `multitask_strategy` says
    what becomes of the unfinished runs of a thread that is given. At most `concurrency_limit` runs
    of one `concurrency_key` run at once."""

    workflow: str = workflows.DEFAULT
    name: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)
    thread: UUID | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tags: Sequence[str] = ()
    priority: int = 0
    durability: str = "sync"
    concurrency_key: str | None = None
    concurrency_limit: int | None = None
    multitask_strategy: str = multitask.ENQUEUE


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A run that may be created, with its concurrency key and limit (`place`). With a `key` it is
    found again by it; `fingerprint` is then of what was asked for."""

    new: NewRun
    workflow: workflows.Workflow
    place: keys.Place
    key: str | None = None
    fingerprint: str = ""


def create_run(new: NewRun) -> Run:
    """The new run, pending. Problem 422 for anything in `new` that does not fit: `invalid` with
    one error per fault, `unknown_workflow` or `unknown_thread`; 409 for a thread with an unfinished
    run and the strategy `reject`."""
    return create_runs([new])[0]


def create_runs(news: Sequence[NewRun]) -> list[Run]:
    """The new runs, pending, in the order given, all or none; they are claimed in that order.
    Problem 422 for the first that does not fit, as `create_run`; where there are several, faults
    are at `/<index>/…`."""
    wanted = check(news)
    with fast_transaction(connection):
        return insert(wanted)


def check(news: Sequence[NewRun]) -> list[Checked]:
    """The same runs, of which nothing but what their threads bear can still be refused. Problem 422
    for the first that does not fit, as `create_runs`."""
    found = []
    for index, new in enumerate(news):
        try:
            _check_fields(new)
            workflow = _workflow(new.workflow)
            _check_payload(workflow, new.payload, goes_on=new.thread is not None)
            place = keys.place(workflow, new.payload, new.concurrency_key, new.concurrency_limit)
        except Problem as problem:
            raise _of_batch(problem, index, news) from None
        found.append(Checked(new=new, workflow=workflow, place=place))
    _check_threads(news)
    return found


def _check_threads(news: Sequence[NewRun]) -> None:
    """Of runs that are made together, one must not make way for another."""
    given = [new.thread for new in news]
    for index, new in enumerate(news):
        shared = new.thread is not None and given.count(new.thread) > 1
        if shared and new.multitask_strategy != multitask.ENQUEUE:
            detail = "Other runs of this request are for the same thread: they can only `enqueue`."
            _refuse([{"at": f"/{index}/multitask_strategy", "detail": detail}])


def _of_batch(problem: Problem, index: int, news: Sequence[NewRun]) -> Problem:
    if len(news) == 1:
        return problem
    errors = [{**fault, "at": f"/{index}{fault['at']}"} for fault in problem.errors]
    return Problem(problem.status, problem.code, f"Run {index}: {problem.detail}", errors)


def insert(wanted: Sequence[Checked]) -> list[Run]:
    """Threads, runs, events 1 and one wake-up, a fixed number of statements, in the transaction
    that is open. Problem 422 for an unknown thread, 409 for one
    that is to be rejected."""
    if not wanted:
        return []
    given = {one.new.thread: one.new.multitask_strategy for one in wanted if one.new.thread}
    multitask.lock_runs(given)
    known = _lock_threads(list(given))
    made = [Thread() for one in wanted if one.new.thread is None]
    wakeup.ring()  # first, because it asks before it writes
    statements.create(connection, Thread, made)
    fresh = iter(made)
    runs = [
        Run(
            thread=next(fresh) if one.new.thread is None else known[one.new.thread],
            workflow=one.workflow.name,
            workflow_version=one.workflow.version,
            name=one.new.name,
            payload=one.new.payload,
            metadata=one.new.metadata,
            tags=list(one.new.tags),
            priority=one.new.priority,
            durability=one.new.durability,
            concurrency_key=one.place.key,
            concurrency_limit=one.place.limit,
            idempotency_key=one.key,
            fingerprint=one.fingerprint,
            seq=1,
        )
        for one in wanted
    ]
    for run, one in zip(runs, wanted, strict=True):
        run.updated_at = run.created_at
        if one.new.thread is not None:
            multitask.make_way(run.thread, one.new.multitask_strategy, run.pk)
    payloads = Payload.apart(runs)
    statements.create(connection, Run, runs)
    statements.create(connection, Payload, payloads)
    told = [(run, {"workflow": run.workflow, "name": run.name}) for run in runs]
    events = [_told(run, CREATED, data) for run, data in told]
    statements.create(connection, Event, events)
    doorbell.announce(ended=bool(given))  # of those that make way for them
    return runs


def replay_run(
    run_id: UUID, *, from_step: int | None = None, changes: Mapping[str, Any] | None = None
) -> Run:
    """A new run of the same workflow, pending, with `source_run` set.

    Without `from_step` it begins again with the payload, on a thread of its own; `changes` then
    replace top-level values of the payload. With `from_step` it goes on, on the same thread, from
    the checkpoint that the run wrote after that step; `changes` are then new values of state
    channels. Problem 404 for an unknown run, 422 for the rest.
    """
    changes = {} if changes is None else changes
    _refuse(_object_faults(changes, "/set"))
    source = Run.objects.filter(pk=run_id).first()
    if source is None:
        raise Problem(404, "unknown_run", f"There is no run {run_id}.")
    workflow = _workflow(source.workflow)
    if from_step is None:
        return _begin_again(source, workflow, changes)
    return _go_on(source, workflow, from_step, changes)


def cancel_run(run_id: UUID, *, by: str = "", reason: str = "") -> Run:
    """The run, which ends as cancelled: at once when nobody executes it; otherwise it is on record
    who wants that and why, and it ends with its next superstep, or when its worker has stopped it.
    To ask again changes nothing. Problem 404 for an unknown run, 409 for one that has ended
    otherwise, 422 for a reason that does not fit."""
    _refuse(_text_faults(reason, "/reason", MAX_REASON))
    with transaction.atomic():
        # Locked: whoever claims, commits or ends it now comes before or after.
        run = Run.objects.select_for_update(no_key=True).filter(pk=run_id).first()
        if run is None:
            raise Problem(404, "unknown_run", f"There is no run {run_id}.")
        if run.finished and run.status != RunStatus.CANCELLED:
            raise Problem(
                409, "already_ended", f"Run {run_id} is {run.status}: there is nothing to cancel."
            )
        if run.status != RunStatus.CANCELLED and run.cancel_requested_at is None:
            cancellation.request(run, by, reason, timezone.now())
    return run


def _begin_again(source: Run, workflow: workflows.Workflow, changes: Mapping[str, Any]) -> Run:
    payload = {**(source.given or {}), **changes}
    _check_payload(workflow, payload)
    with transaction.atomic():
        return _insert(_copy(source, workflow, Thread.objects.create(), payload))


def _go_on(
    source: Run, workflow: workflows.Workflow, from_step: int, changes: Mapping[str, Any]
) -> Run:
    checkpoint = _checkpoint(source, from_step)
    _check_channels(workflow, changes)
    with transaction.atomic():
        run = _copy(source, workflow, _lock_thread(source.thread_id), source.payload)
        run.checkpoint_id = checkpoint.id
        run.step = checkpoint.step
        _insert(run)
        if changes:
            forked = fork(run, checkpoint, changes)
            run.checkpoint_id = forked.id
            told = {"checkpoint_id": str(forked.id), "next": forked.next_nodes}
            run.seq += 1
            _event(run, "checkpoint", told, step=forked.step)
            run.save(update_fields=["checkpoint_id", "seq"])
        return run


def _copy(source: Run, workflow: workflows.Workflow, thread: Thread, payload: Any) -> Run:
    place = keys.place_again(workflow, source, payload)
    return Run(
        thread=thread,
        workflow=workflow.name,
        workflow_version=workflow.version,
        name=source.name,
        payload=payload,
        metadata=source.metadata,
        tags=source.tags,
        durability=source.durability,
        concurrency_key=place.key,
        concurrency_limit=place.limit,
        source_run=source,
    )


def _insert(run: Run) -> Run:
    """Run, event 1 and wake-up; the caller owns the transaction."""
    run.seq = 1
    run.updated_at = run.created_at
    payloads = Payload.apart([run])
    run.save(force_insert=True)
    statements.create(connection, Payload, payloads)
    _event(run, CREATED, {"workflow": run.workflow, "name": run.name})
    wakeup.ring()
    doorbell.announce()
    return run


def _event(run: Run, name: str, told: Mapping[str, Any], *, step: int | None = None) -> None:
    """Event number `run.seq`, of a run that nobody executes yet."""
    _told(run, name, told, step=step).save(force_insert=True)


def _told(run: Run, name: str, told: Mapping[str, Any], *, step: int | None = None) -> Event:
    data = orjson.dumps(told).decode()
    return Event(run=run, seq=run.seq, name=name, ts=run.created_at, step=step, data=data)


def _lock_thread(thread_id: UUID) -> Thread:
    return _lock_threads([thread_id])[thread_id]


def _lock_threads(thread_ids: Collection[UUID]) -> dict[UUID, Thread]:
    # Locked until the commit: a thread that is deleted meanwhile would leave a dangling run. In
    # the order of their ids, so that two who lock the same ones cannot wait for each other.
    threads = Thread.objects.select_for_update(no_key=True).order_by("id")
    found = {t.id: t for t in threads.filter(pk__in=thread_ids)} if thread_ids else {}
    for thread_id in thread_ids:
        if thread_id not in found:
            raise Problem(
                422,
                "unknown_thread",
                f"There is no thread {thread_id}. Leave `thread` out to begin a new one.",
                [{"at": "/thread", "detail": "This thread does not exist."}],
            )
    return found


def _checkpoint(source: Run, step: int) -> Checkpoint:
    own = Checkpoint.objects.filter(run=source, namespace="")
    checkpoint = own.filter(step=step).order_by("-id").first()
    if checkpoint is not None:
        return checkpoint
    known = own.aggregate(first=Min("step"), last=Max("step"))
    detail = (
        f"Run {source.id} has no checkpoint of step {step}: it has those of steps"
        f" {known['first']} to {known['last']}."
        if known["first"] is not None
        else f"Run {source.id} has no checkpoint yet. Leave `from_step` out to begin again."
    )
    raise Problem(
        422, "unknown_step", detail, [{"at": "/from_step", "detail": "No checkpoint of this step."}]
    )


def _workflow(name: str) -> workflows.Workflow:
    try:
        return workflows.get(name)
    except Problem as problem:  # 404 is for the path; inside a body it is the body that is wrong
        errors = [{"at": "/workflow", "detail": "This workflow does not exist."}]
        raise Problem(422, problem.code, problem.detail, errors) from None


def _check_channels(workflow: workflows.Workflow, changes: Mapping[str, Any]) -> None:
    known = workflow.graph.graph.channels
    unknown = [channel for channel in changes if channel not in known]
    if unknown:
        raise Problem(
            422,
            "unknown_channel",
            f"Workflow {workflow.name!r} has no state channel {', '.join(map(repr, unknown))}."
            f" It has: {', '.join(known)}.",
            [{"at": pointer("/set", [name]), "detail": "No such channel."} for name in unknown],
        )
    _refuse(
        type_faults(workflow, partial(workflow.graph.state_faults, changes), "/set"),
        f"The values do not fit the state of workflow {workflow.name!r}",
    )


def _check_payload(
    workflow: workflows.Workflow, payload: Mapping[str, Any], *, goes_on: bool = False
) -> None:
    _refuse(
        schema_faults(workflow, payload, "/payload", goes_on=goes_on),
        f"The payload does not fit the input schema of workflow {workflow.name!r}",
    )


def _check_fields(new: NewRun) -> None:
    faults: list[Fault] = []
    faults += _text_faults(new.workflow, "/workflow", names.MAX_NAME, least=1)
    faults += _text_faults(new.name, "/name", MAX_NAME)
    faults += _object_faults(new.payload, "/payload")
    faults += _object_faults(new.metadata, "/metadata")
    priority: Any = new.priority
    # JSON's true is Python's 1.
    if type(priority) is not int or abs(priority) > MAX_PRIORITY:
        detail = f"This must be a whole number from -{MAX_PRIORITY} to {MAX_PRIORITY}."
        faults.append({"at": "/priority", "detail": detail})
    if new.durability not in DURABILITIES:
        detail = f"This must be one of {', '.join(map(repr, DURABILITIES))}."
        faults.append({"at": "/durability", "detail": detail})
    if not isinstance(new.tags, list | tuple) or len(new.tags) > MAX_TAGS:
        faults.append({"at": "/tags", "detail": f"This must be a list of at most {MAX_TAGS} tags."})
    else:
        for index, tag in enumerate(new.tags):
            faults += _text_faults(tag, f"/tags/{index}", MAX_TAG, least=1)
    faults += keys.faults(new.concurrency_key, new.concurrency_limit)
    faults += multitask.faults(new.multitask_strategy, threaded=new.thread is not None)
    _refuse(faults)


def _text_faults(value: Any, at: str, most: int, *, least: int = 0) -> list[Fault]:
    if not isinstance(value, str):
        return [{"at": at, "detail": "This must be text."}]
    if not least <= len(value) <= most:
        return [{"at": at, "detail": f"This must be {least} to {most} characters long."}]
    return value_faults(value, at)


def _object_faults(value: Any, at: str) -> list[Fault]:
    if not isinstance(value, dict):
        return [{"at": at, "detail": "This must be a JSON object."}]
    return value_faults(value, at)


def _refuse(faults: Sequence[Fault], what: str = "The request is not valid") -> None:
    if faults:
        first = faults[0]
        raise Problem(422, "invalid", f"{what}: at {first['at']}: {first['detail']}", faults)
