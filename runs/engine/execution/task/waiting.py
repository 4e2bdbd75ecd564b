"""What a node waits for: answers to what it asks, and the end of a sleep."""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from runs.engine import serde
from runs.engine.concurrency import outside_calls
from runs.engine.errors import CallOver, GraphInterrupt, IdentityError, NotStorableError
from runs.engine.execution.limits import refuse_over
from runs.engine.execution.task import task_record
from runs.engine.execution.task.task_call import SHORT, TaskCall, current
from runs.engine.superstep import call_identity
from runs.engine.superstep.pending import AHEAD, Sleep
from runs.engine.types import Interrupt
from runs.engine.values.copies import copied


def interrupt(value: Any, *, response_schema: Any = None, key: str | None = None) -> Any:
    """Stop here and ask: the run waits, and `value` is shown to whoever answers. When the answer
    comes, the node is run again from its beginning, and this call returns it; any value is an
    answer, also None. Put what must not be repeated into `ctx.step`.

    What a node asks one after another is answered in its order. What it asks at once, in several
    tasks or threads, is told apart by `value`; give a `key`, a text that is the same each time, to
    questions whose text is new each time. What catches the exception of a question does not undo
    it: the run waits all the same."""
    memo = current.get(None)
    if memo is None or outside_calls.hidden():
        raise outside_calls.unplaced("interrupt()")
    return _ask(memo, value, response_schema, key)


def _ask(memo: TaskCall, value: Any, schema: Any, key: str | None) -> Any:
    _check(memo, "asks a question")
    memo.refuse_while_waiting()
    node, answers, book = memo.task.node.name, memo.execution.answers, memo.ledger
    try:
        key = call_identity.checked_key(f"A question of node {node!r}", key)
        interrupt_id = book.questions.take(
            memo.where(), lambda: _short(value, schema), key, tasks=memo.tasks_made
        )
    except IdentityError as error:
        raise memo.noted(error) from None
    book.asked += 1
    if interrupt_id in answers:
        return copied(answers[interrupt_id])
    if book.asked == 1 and (ahead := _answered_ahead(memo)) is not None:
        answers[interrupt_id] = answers.pop(ahead)
        return copied(answers[interrupt_id])
    stored = []  # what is shown is what is on record, whatever the node does with its object
    for what, said in (("value", value), ("schema", schema)):
        try:
            encoded = serde.dumps(said)
        except NotStorableError as error:
            raise NotStorableError(f"Interrupt {what} of node {node!r}: {error}") from None
        limit = memo.execution.max_value_bytes
        refuse_over(f"Interrupt {what} of node {node!r}", len(encoded), limit)
        stored.append(serde.loads(encoded))
    value, schema = stored
    memo.hold_place()
    raise memo.noted(GraphInterrupt([Interrupt(value, interrupt_id, node, memo.namespace, schema)]))


def _short(value: Any, schema: Any) -> str:
    """A question as a short text: of its stored form, which is what a later call compares with."""
    with suppress(NotStorableError):  # refused by name when it is put on record
        value, schema = (serde.loads(serde.dumps(one)) for one in (value, schema))
    return task_record.question(value, schema)


def _answered_ahead(memo: TaskCall) -> str | None:
    """The id of an answer that was given before this task, or one around it, had asked."""
    for key in list(memo.execution.answers):
        around = key.removeprefix(AHEAD)
        if around != key and f"{memo.place}|".startswith(f"{around}|"):
            return key
    return None


def sleep(
    memo: TaskCall, until: datetime | None, seconds: float = 0.0, key: str | None = None
) -> Coroutine[Any, Any, None]:
    """Return when it is `until`, or `seconds` after the task first came here. GraphInterrupt when
    that is not soon. Which sleep it is is settled at once; the rest is to be awaited."""
    _check(memo, "sleeps")
    memo.refuse_in_transaction("sleeps")
    memo.refuse_while_waiting()
    node, value = memo.task.node.name, call_identity.digest([until, seconds]).digest
    try:
        key = call_identity.checked_key(f"A sleep of node {node!r}", key)
        sleep_id = memo.ledger.sleeps.take(memo.where(), lambda: value, key, tasks=memo.tasks_made)
    except IdentityError as error:
        raise memo.noted(error) from None
    return _sleep(memo, sleep_id, value, until, seconds)


async def _sleep(
    memo: TaskCall, sleep_id: str, value: str, until: datetime | None, seconds: float
) -> None:
    execution = memo.execution
    await execution.journal.room()
    now = execution.clock.now()
    known = memo.ledger.until(sleep_id)
    if known is not None:
        until = known
    elif until is None:
        until = _later(memo, now, seconds)
    elif getattr(until, "tzinfo", None) is None:
        raise ValueError(
            f"A sleep until {until!r} of node {memo.task.node.name!r}; give a datetime with a "
            "timezone, as datetime.now(UTC) + timedelta(hours=1)."
        )
    else:
        until = _in_utc(memo, until)
    wait = (until - now).total_seconds()
    if wait <= SHORT:
        await execution.clock.sleep(max(wait, 0.0))
        return
    if known is None:
        kept = Sleep(id=sleep_id, until=until, value=value, since=now)
        memo.record("sleep", memo.ledger.slept(kept), kept.dumps(old=memo.is_old))
        await memo.settle()
    raise memo.noted(GraphInterrupt(until=until))


def _in_utc(memo: TaskCall, until: datetime) -> datetime:
    try:
        return until.astimezone(UTC)
    except OverflowError:  # no database gives it back
        raise ValueError(
            f"A sleep until {until} of node {memo.task.node.name!r}; give a moment from the year 1 "
            "to the year 9999 in UTC."
        ) from None


def _later(memo: TaskCall, now: datetime, seconds: float) -> datetime:
    try:
        return now + timedelta(seconds=seconds)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            f"A sleep of {seconds!r} of node {memo.task.node.name!r}; give seconds, so few "
            "that it ends before the year 10,000."
        ) from None


def _check(memo: TaskCall, doing: str) -> None:
    """Refuse what a call does after its end. When it had returned by then, its run fails: it went
    on without knowing of this, and nobody would be asked."""
    try:
        memo.check()
    except CallOver as error:
        if memo.returned:
            name = memo.task.node.name
            memo.execution.too_late(
                name,
                CallOver(
                    f"A task or thread of node {name!r} {doing} after the node had returned. The "
                    "run has gone on, so nobody can be asked: wait for it in the node."
                ),
            )
        raise error
