"""The shapes of what clients send."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s

from runs.http.request_bodies import RequestShape, text
from runs.http.schemas import ObjectField
from runs.models import Durability
from runs.operations.multitask import STRATEGIES


class NewRunSerializer(RequestShape):
    name = text(required=False, max_length=200)
    workflow = text(
        required=False, min_length=1, max_length=200, help_text="`text_report` unless given"
    )
    payload = ObjectField(required=False, help_text="Must fit the input schema of the workflow")
    thread = s.UUIDField(
        required=False, allow_null=True, help_text="Go on with the state of this thread"
    )
    metadata = ObjectField(required=False)
    tags = s.ListField(child=text(min_length=1, max_length=64), max_length=20, required=False)
    priority = s.IntegerField(
        required=False, min_value=-100, max_value=100, help_text="Higher ones begin first"
    )
    durability = s.ChoiceField(
        Durability.values,
        required=False,
        help_text="When its steps are kept: before the next begins (`sync`, unless given), while it"
        " goes on (`async`), or when the run stops (`exit`)",
    )
    concurrency_key = text(
        required=False,
        allow_null=True,
        min_length=1,
        max_length=255,
        help_text="Runs of one key, of whatever workflow, share its places; without one the"
        " workflow may make one of the payload",
    )
    concurrency_limit = s.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=100_000,
        help_text="It begins while fewer runs of its key run; unless given, as its workflow says,"
        " or 1",
    )
    multitask_strategy = s.ChoiceField(
        [(name, name) for name in STRATEGIES],
        required=False,
        help_text="What becomes of unfinished runs of `thread`: `enqueue` (the default) waits for"
        " them, `reject` is answered with 409, `interrupt` cancels them and goes on from what they"
        " did, `rollback` cancels them and goes on from before they began",
    )


class ReplaySerializer(RequestShape):
    from_step = s.IntegerField(
        required=False,
        allow_null=True,
        min_value=0,
        help_text="Go on from the checkpoint of this step; without it, begin again",
    )
    set = ObjectField(
        required=False,
        allow_null=True,
        help_text="New values: of state channels with `from_step`, of the payload without",
    )


class CancelSerializer(RequestShape):
    reason = text(required=False, max_length=500, help_text="Kept with the run")


class PauseSerializer(RequestShape):
    reason = text(required=False, max_length=500, help_text="Kept with the pause")


class AnswerSerializer(RequestShape):
    """LangGraph's Command."""

    resume: Any = s.JSONField(
        required=False,
        allow_null=True,
        help_text="The answer to the first open question, or an object of interrupt id → answer",
    )
    update: Any = ObjectField(
        required=False, allow_null=True, help_text="Written to the state before the run goes on"
    )
    goto: Any = s.JSONField(
        required=False,
        allow_null=True,
        help_text="A node to run along, an object with its `node` and `input`, or a list of these",
    )
