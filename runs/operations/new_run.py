"""The runs that a caller asks for, and their validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from runs import workflows
from runs.engine import names
from runs.engine.journal.durability import DURABILITIES
from runs.errors import Problem
from runs.operations import concurrency_keys, multitask
from runs.validation import Fault, schema_faults, value_faults

MAX_NAME = 200
MAX_TAGS = 20
MAX_TAG = 64
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
class ValidatedRun:
    """A run that may be created, with its concurrency key and limit (`place`). With a `key` it is
    found again by it; `fingerprint` is then of what was asked for."""

    new: NewRun
    workflow: workflows.Workflow
    place: concurrency_keys.Place
    key: str | None = None
    fingerprint: str = ""


def validate(news: Sequence[NewRun]) -> list[ValidatedRun]:
    """The same runs, of which nothing but what their threads bear can still be refused. Problem 422
    for the first that does not fit, as `create_runs`."""
    found = []
    for index, new in enumerate(news):
        try:
            _check_fields(new)
            workflow = find_workflow(new.workflow)
            check_payload(workflow, new.payload, goes_on=new.thread is not None)
            place = concurrency_keys.place(
                workflow, new.payload, new.concurrency_key, new.concurrency_limit
            )
        except Problem as problem:
            raise _in_batch(problem, index, news) from None
        found.append(ValidatedRun(new=new, workflow=workflow, place=place))
    _check_threads(news)
    return found


def _check_threads(news: Sequence[NewRun]) -> None:
    """Of runs that are made together, one must not make way for another."""
    given = [new.thread for new in news]
    for index, new in enumerate(news):
        shared = new.thread is not None and given.count(new.thread) > 1
        if shared and new.multitask_strategy != multitask.ENQUEUE:
            detail = "Other runs of this request are for the same thread: they can only `enqueue`."
            raise_if_invalid([{"at": f"/{index}/multitask_strategy", "detail": detail}])


def _in_batch(problem: Problem, index: int, news: Sequence[NewRun]) -> Problem:
    if len(news) == 1:
        return problem
    errors = [{**fault, "at": f"/{index}{fault['at']}"} for fault in problem.errors]
    return Problem(problem.status, problem.code, f"Run {index}: {problem.detail}", errors)


def find_workflow(name: str) -> workflows.Workflow:
    try:
        return workflows.get(name)
    except Problem as problem:  # 404 is for the path; inside a body it is the body that is wrong
        errors = [{"at": "/workflow", "detail": "This workflow does not exist."}]
        raise Problem(422, problem.code, problem.detail, errors) from None


def check_payload(
    workflow: workflows.Workflow, payload: Mapping[str, Any], *, goes_on: bool = False
) -> None:
    raise_if_invalid(
        schema_faults(workflow, payload, "/payload", goes_on=goes_on),
        f"The payload does not fit the input schema of workflow {workflow.name!r}",
    )


def _check_fields(new: NewRun) -> None:
    faults: list[Fault] = []
    faults += text_faults(new.workflow, "/workflow", names.MAX_NAME, least=1)
    faults += text_faults(new.name, "/name", MAX_NAME)
    faults += object_faults(new.payload, "/payload")
    faults += object_faults(new.metadata, "/metadata")
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
            faults += text_faults(tag, f"/tags/{index}", MAX_TAG, least=1)
    faults += concurrency_keys.faults(new.concurrency_key, new.concurrency_limit)
    faults += multitask.faults(new.multitask_strategy, threaded=new.thread is not None)
    raise_if_invalid(faults)


def text_faults(value: Any, at: str, most: int, *, least: int = 0) -> list[Fault]:
    if not isinstance(value, str):
        return [{"at": at, "detail": "This must be text."}]
    if not least <= len(value) <= most:
        return [{"at": at, "detail": f"This must be {least} to {most} characters long."}]
    return value_faults(value, at)


def object_faults(value: Any, at: str) -> list[Fault]:
    if not isinstance(value, dict):
        return [{"at": at, "detail": "This must be a JSON object."}]
    return value_faults(value, at)


def raise_if_invalid(faults: Sequence[Fault], what: str = "The request is not valid") -> None:
    if faults:
        first = faults[0]
        raise Problem(422, "invalid", f"{what}: at {first['at']}: {first['detail']}", faults)
