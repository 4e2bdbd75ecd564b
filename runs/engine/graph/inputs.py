"""What is wrong with an input, before a run begins with it: what its nodes could not be given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runs.engine.annotations import type_hints
from runs.engine.graph.graph import StateView

#: Keys and indexes that lead to the place, and a sentence.
Fault = tuple[tuple[str | int, ...], str]


def faults(
    state: Any, view: StateView, payload: Mapping[str, Any], *, whole: bool = True
) -> list[Fault]:
    """Why `payload` cannot be handed to a node as an input of type `state`, which it sees by
    `view`; empty when it can. If it is the `whole` state, and leaves out nothing that is required,
    what an object checks of all its fields together counts as well (validators, `__post_init__`).
    """
    kind = type_hints.class_of(state)
    is_model = type_hints.model_fields(kind) is not None
    is_made = is_model or (whole and type_hints.is_record(kind))
    if not (view.convert or is_made):
        return []
    hints = type_hints.hints(state)
    known = {key: value for key, value in payload.items() if key in hints}
    found: list[Fault] = []
    for key, convert in view.convert.items():
        if key in known:
            try:
                known[key] = convert(known[key])
            except Exception as error:  # of code of the user's
                found += _of(error, (key,))
    if found or not is_made:
        return found
    required = {key for key, hint in hints.items() if type_hints.is_required(state, key, hint)}
    try:
        view.build(**known)
    except Exception as error:
        found = _of(error, ())
        if not whole or not required <= known.keys():  # the rest is there, or comes from a node
            found = [fault for fault in found if fault[0] and fault[0][0] in known]
    return found


def _of(error: Exception, at: tuple[str | int, ...]) -> list[Fault]:
    """The places that a pydantic ValidationError names; of any other error one."""
    listed = getattr(error, "errors", None)
    if callable(listed) and hasattr(error, "error_count"):
        return [((*at, *one["loc"]), f"{one['msg']}.") for one in listed(include_url=False)]
    text = str(error) or type(error).__name__
    return [(at, f"{text.rstrip('.')}.")]
