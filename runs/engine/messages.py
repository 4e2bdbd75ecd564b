"""The reducer for conversations: messages merged by their id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, TypedDict

from . import ids

#: The id in a removal that empties the list.
REMOVE_ALL_MESSAGES: Final = "__remove_all__"


def RemoveMessage(id: str) -> dict[str, str]:
    """What to write to take the message with that id out."""
    return {"type": "remove", "id": id}


def add_messages(left: Any, right: Any) -> list[Any]:
    """The messages of `left` with those of `right` merged in: one with a known id takes the place
    of the one that has it, the others follow in order. A message is a dict with an `id`, or an
    object that has one; one without an id that can take one gets it. Removing what is not there
    raises ValueError."""
    merged = _listed(left)
    places = {_id(message): place for place, message in enumerate(merged)}
    gone: set[Any] = set()
    for given in _listed(right):
        message = _with_id(given, len(merged), places)
        message_id = _id(message)
        if _removes(message):
            if message_id == REMOVE_ALL_MESSAGES:
                merged, places, gone = [], {}, set()
                continue
            if message_id not in places:
                raise ValueError(f"There is no message {message_id!r} to remove.")
            gone.add(message_id)
        elif message_id is not None and message_id in places:
            gone.discard(message_id)
            merged[places[message_id]] = message
        else:
            places[message_id] = len(merged)
            merged.append(message)
    return [message for message in merged if _id(message) not in gone] if gone else merged


# A delta is worth storing: folding it again gives the same, because an id is derived from the
# message and its place, not drawn by lot.
add_messages.appends = True  # type: ignore[attr-defined]


class MessagesState(TypedDict):
    """A state that is a conversation."""

    messages: Annotated[list[Any], add_messages]


def _listed(messages: Any) -> list[Any]:
    if messages is None:
        return []
    is_list = isinstance(messages, Sequence) and not isinstance(messages, (str, tuple))
    return [_message(one) for one in (messages if is_list else [messages])]


def _message(given: Any) -> Any:
    """`("user", "hi")` and "hi" are short for a dict."""
    if isinstance(given, str):
        return {"role": "user", "content": given}
    if isinstance(given, (tuple, list)) and len(given) == 2:
        return {"role": given[0], "content": given[1]}
    return given


def _with_id(message: Any, place: int, known: Mapping[Any, int]) -> Any:
    """A message without an id gets one that follows from what it says and where it stands."""
    if not isinstance(message, Mapping) or message.get("id") is not None:
        return message
    said = repr(sorted((key, repr(value)) for key, value in message.items()))
    message_id = ids.derived_text("message", str(place), said)
    while message_id in known:
        place += 1
        message_id = ids.derived_text("message", str(place), said)
    return {**message, "id": message_id}


def _id(message: Any) -> Any:
    return message.get("id") if isinstance(message, Mapping) else getattr(message, "id", None)


def _removes(message: Any) -> bool:
    kind = message.get("type") if isinstance(message, Mapping) else getattr(message, "type", None)
    return kind == "remove"
