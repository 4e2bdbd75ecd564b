"""The reducer for conversations: messages merged by their id.

Every message has an id. One that enters a state without it gets one that follows from the task
that wrote it, so that a superstep that is repeated writes the same. The message itself is not
changed: its copy has the id.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from operator import is_ as _is
from typing import Annotated, Any, Final, TypedDict

from runs.engine import ids, serde
from runs.engine.annotations import conversions
from runs.engine.errors import NotStorableError
from runs.engine.graph.channels import folding
from runs.engine.values.unreadable import Unread

#: The id in a removal that empties the list.
REMOVE_ALL_MESSAGES: Final = "__remove_all__"


def _no_call() -> str | None:
    return None


#: What the ids of messages follow from that the call of a node makes now: the same when it is
#: called again, and another each time it is asked. None outside of nodes. Set by `memo`.
seed_of_call: Callable[[], str | None] = _no_call


def RemoveMessage(id: str) -> dict[str, str]:
    """What to write to take the message with that id out. ValueError for no id."""
    return _removal(id)


def add_messages(left: Any, right: Any) -> list[Any]:
    """The messages of `left` with those of `right` merged in: one with a known id takes the place
    of the one that has it, the others follow in order. A message is a dict, or an object that has
    an `id`; one without an id that can take one gets a new one. Called in a node, the ids are the
    same when the node is called again. Removing what is not there, or removing without an id,
    raises ValueError."""
    seed = None
    merged = _listed(left)
    if folding.get():  # what is written has ids; what earlier versions wrote gets derived ones
        merged = restored(merged)
    else:
        seed = seed_of_call() or str(ids.uuid7())
        merged = [_identified(one, f"{seed}:left", number) for number, one in enumerate(merged)]
    places = {_id(message): place for place, message in enumerate(merged)}
    gone: set[Any] = set()
    fresh = 0
    updates = [_coerced(given) for given in _listed(right)]
    for place, update in enumerate(updates):
        if _removes(update) and _id(update) == REMOVE_ALL_MESSAGES:
            merged, places, fresh = [], {}, place + 1
    for number, given in enumerate(updates[fresh:]):
        if seed is None:
            message = _with_id(given, len(merged), places)
        else:
            message = _identified(given, seed, number)
        message_id = _id(message)
        if _removes(message):
            if message_id not in places:
                raise ValueError(f"There is no message {message_id!r} to remove.")
            gone.add(message_id)
        elif message_id is not None and message_id in places:
            gone.discard(message_id)
            merged[places[message_id]] = message
        else:
            if message_id is not None:
                places[message_id] = len(merged)
            merged.append(message)
    return [message for message in merged if _id(message) not in gone] if gone else merged


def entering(update: Any, seed: str | None) -> Any:
    """`update` as it is written to the state: of messages, and with an id for each. A single one
    stays single. The ids follow from `seed` and the order; None gives none yet. What is no message
    raises ValueError."""
    if update is None or isinstance(update, Mapping):
        return update if update is None else _entering(update, seed, 0)
    if not _is_list(update):
        return _entering(update, seed, 0)
    messages = [_entering(given, seed, number) for number, given in enumerate(update)]
    same = len(messages) == len(update) and all(map(_is, messages, update))
    return update if same else messages


def identified(value: Any, seed: str) -> Any:
    """`value` with ids for what in it is a message already. What is none stays as it is."""
    if _is_list(value):
        found = [_identified(one, seed, number) for number, one in enumerate(value)]
        return value if all(map(_is, found, value)) else found
    return _identified(value, seed, 0)


def restored(messages: Any) -> Any:
    """A stored conversation. Its messages have ids, but for what earlier versions stored: these
    get one that follows from what they say and where they stand."""
    if not isinstance(messages, list) or all(_id(one) is not None for one in messages):
        return messages
    known = {_id(message): place for place, message in enumerate(messages)}
    found = []
    for place, message in enumerate(messages):
        named = _with_id(message, place, known)
        known.setdefault(_id(named), place)
        found.append(named)
    return found


def as_objects(value: Any) -> Any:
    """A conversation as LangChain's objects, which an annotation of its classes asks for, from what
    `add_messages` takes, but for removals. ValueError for what is no message of LangChain's."""
    if value is None:
        return None
    return [_object(one) for one in map(_coerced, _listed(value)) if not _removes(one)]


def _object(message: Any) -> Any:
    if not isinstance(message, Mapping):
        return message
    try:
        return _reader()(message)
    except (ValueError, TypeError, KeyError, NotImplementedError) as error:
        raise ValueError(str(error).partition("\n")[0]) from error


@lru_cache(1)
def _reader() -> Callable[[Mapping[str, Any]], Any]:
    from langchain_core.messages import AnyMessage, convert_to_messages

    shown = sys.modules["pydantic"].TypeAdapter(AnyMessage).validate_python

    def read(message: Mapping[str, Any]) -> Any:
        if "role" not in message:  # as a message of LangChain's shows itself
            with suppress(ValueError, TypeError):
                return shown(message)
        return convert_to_messages([dict(message)])[0]

    return read


def object_classes(kinds: Iterable[type]) -> frozenset[type]:
    """Of which classes the messages may be where an annotation names `kinds`: all of LangChain's if
    one of these is."""
    langchain = sys.modules.get("langchain_core.messages")
    if langchain is None or not any(issubclass(one, langchain.BaseMessage) for one in kinds):
        return frozenset()
    return conversions.classes(langchain.AnyMessage)


# A delta is worth storing: folding it again gives the same, because in a fold an id is derived, and
# not drawn by lot.
add_messages.appends = True  # type: ignore[attr-defined]


class _Entry:
    entering = staticmethod(entering)
    identified = staticmethod(identified)
    restored = staticmethod(restored)


add_messages.entry = _Entry()  # type: ignore[attr-defined]


class MessagesState(TypedDict):
    """A state that is a conversation."""

    messages: Annotated[list[Any], add_messages]


def _listed(messages: Any) -> list[Any]:
    if messages is None:
        return []
    return list(messages) if _is_list(messages) else [messages]


def _is_list(given: Any) -> bool:
    if isinstance(given, (str, bytes)) or not isinstance(given, Sequence):
        return False
    return not (isinstance(given, tuple) and (hasattr(given, "_fields") or _is_pair(given)))


def _is_pair(given: Any) -> bool:
    return (
        isinstance(given, (tuple, list))
        and len(given) == 2
        and isinstance(given[0], str)
        and isinstance(given[1], (str, list))
    )


def _entering(given: Any, seed: str | None, number: int) -> Any:
    message = _coerced(given)
    return message if seed is None else _identified(message, seed, number)


def _coerced(given: Any) -> Any:
    """`("user", "hi")` and "hi" are short for a dict; a chunk of LangChain's is a whole message
    here, as in LangGraph; a removal is its id."""
    if isinstance(given, str):
        return {"role": "user", "content": given}
    if _is_pair(given):
        given = {"role": given[0], "content": given[1]}
    if isinstance(given, Mapping):
        # Not in a fold: an earlier version has kept such a dict as a message.
        if given.get("role") == "remove" and not folding.get():
            return _removal(_id(given))
        return _removal(given.get("id")) if _removes(given) and _id(given) is None else given
    if given is None or isinstance(given, (bool, int, float, bytes, list)):
        raise ValueError(
            f"{given!r} is no message: give text, a pair of role and content, a dict, or an object "
            "with an `id`."
        )
    if _removes(given):
        return _removal(_id(given))
    langchain = sys.modules.get("langchain_core.messages")
    if langchain is not None and isinstance(given, langchain.BaseMessageChunk):
        return langchain.message_chunk_to_message(given)
    return given


def _removal(message_id: Any) -> dict[str, str]:
    if message_id is None:
        raise ValueError(
            "A RemoveMessage without an id removes nothing: give it the id of a message in the "
            "state."
        )
    return {"type": "remove", "id": message_id}


def _identified(message: Any, seed: str, number: int) -> Any:
    if not _lacks_id(message):
        return message
    return _copied(message, ids.derived_text("message", seed, str(number)))


def _with_id(message: Any, place: int, known: Mapping[Any, int]) -> Any:
    """A message without an id gets one that follows from what it says and where it stands."""
    if not _lacks_id(message):
        return message
    said = _said(message)
    message_id = ids.derived_text("message", str(place), said)
    while message_id in known:
        place += 1
        message_id = ids.derived_text("message", str(place), said)
    return _copied(message, message_id)


def _lacks_id(message: Any) -> bool:
    """Whether the message can take an id, and has none."""
    if isinstance(message, Mapping):
        return message.get("id") is None and not isinstance(message, Unread)
    return getattr(message, "id", "") is None


def _said(message: Any) -> str:
    if isinstance(message, Mapping):
        return repr(sorted((key, repr(value)) for key, value in message.items()))
    try:
        return serde.dumps(message).decode()
    except NotStorableError:
        return type(message).__qualname__


def _copied(message: Any, message_id: str) -> Any:
    """A copy with that id: whoever made the message may still use it. One that refuses the id, as
    its own attribute does, stays as it is."""
    if isinstance(message, Mapping):
        return {**message, "id": message_id}
    try:
        if hasattr(message, "model_copy"):
            return message.model_copy(update={"id": message_id})
        if hasattr(message, "_replace"):
            return message._replace(id=message_id)
        made = copy.copy(message)
        object.__setattr__(made, "id", message_id)
    except (AttributeError, TypeError):
        return message
    return made


def _id(message: Any) -> Any:
    return message.get("id") if isinstance(message, Mapping) else getattr(message, "id", None)


def _removes(message: Any) -> bool:
    kind = message.get("type") if isinstance(message, Mapping) else getattr(message, "type", None)
    return isinstance(kind, str) and kind == "remove"
