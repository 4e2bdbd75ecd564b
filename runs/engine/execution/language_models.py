"""LangChain's models in nodes: they are given what the run was given, and what they say on the way
goes on the run's stream, as the mode `messages` shows it.

Nothing of LangChain is imported before the program itself has imported it.
"""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from runs.engine import events, serde
from runs.engine.checkpoint import Write
from runs.engine.execution.execution import config
from runs.engine.execution.task.task_call import TaskCall

#: What of `configurable` is told along with a message. The rest may be secret.
_KNOWN: Final = (
    "thread_id",
    "assistant_id",
    "graph_id",
    "model",
    "user_id",
    "cron_id",
    "langgraph_auth_user_id",
)

#: The tags of a model that is not to be streamed.
_SILENT: Final = frozenset({"nostream", "langsmith:nostream"})


@dataclass(frozen=True)
class Said:
    """A message on the stream, with what is known of it. One that was `written` may have been shown
    before: a graph in a node has told it, or the model that made it."""

    message: Any
    about: Mapping[str, Any]
    written: bool = False


def enter(memo: TaskCall) -> Callable[[], None] | None:
    """Let the models that this call of a node makes know the run's config, and hear what they say
    if somebody wants that. Answers what ends it; None where there is nothing to do."""
    execution = memo.execution
    if not (execution.models or execution.config) or (around := _surroundings()) is None:
        return None
    heard = _listener(memo) if execution.models and not memo.task.node.atomic else None
    token = around.set(_Around(memo, around.get(), heard))
    return lambda: around.reset(token)


class _Around(Mapping[str, Any]):
    """The config around a call of a node, as LangChain reads it. It is made when a model or another
    Runnable reads it first: most calls have none, and to make it costs a tenth of a step."""

    __slots__ = ("_before", "_listener", "_made", "_memo")

    def __init__(self, memo: TaskCall, before: Mapping[str, Any] | None, listener: Any) -> None:
        self._memo = memo
        self._before = before
        self._listener = listener
        self._made: dict[str, Any] | None = None

    def _config(self) -> dict[str, Any]:
        if self._made is None:
            made = {**(self._before or {}), **config(self._memo.execution, self._memo.task)}
            manager = _joined(made.pop("callbacks", None), self._listener)
            if manager is not None:
                made["callbacks"] = manager
            self._made = made
        return self._made

    def __getitem__(self, key: str) -> Any:
        return self._config()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._config())

    def __len__(self) -> int:
        return len(self._config())


def callbacks() -> Any:
    """The callbacks of the call of a node that this is in; None without LangChain."""
    around = _surroundings()
    return None if around is None else (around.get() or {}).get("callbacks")


def _surroundings() -> ContextVar[Any] | None:
    """Where LangChain looks for the config around a call; None while it is not imported."""
    chains = sys.modules.get("langchain_core.runnables.config")
    return getattr(chains, "var_child_runnable_config", None)


def tell(memo: TaskCall, known: Mapping[str, Any], writes: Sequence[Write]) -> None:
    """Show the messages that a node has written and nobody has seen: not in the state before
    (`known`), and not from a model."""
    kind = getattr(sys.modules.get("langchain_core.messages.base"), "BaseMessage", None)
    if kind is None:
        return
    found = [one for write in writes for one in _messages(kind, write.value)]
    if not found:
        return
    handlers = getattr(callbacks(), "handlers", ())
    heard = next((one for one in handlers if isinstance(one, Listener)), None)
    seen = {one.id for value in known.values() for one in _messages(kind, value)}
    seen |= set() if heard is None else heard.seen
    said = config(memo.execution, memo.task)
    plain = {key: said["configurable"][key] for key in _KNOWN if key in said["configurable"]}
    for one in found:
        if one.type != "remove" and (one.id is None or one.id not in seen):
            _say(memo, Said(one, {**plain, **said["metadata"]}, written=True))


class Listener:
    """A callback handler of LangChain's, but for its base: what it hears of models, it tells."""

    run_inline = True

    def __init__(self, memo: TaskCall) -> None:
        super().__init__()
        self._memo = memo
        self._about: dict[Any, Mapping[str, Any]] = {}
        self.seen: set[str] = set()

    def on_chat_model_start(
        self,
        serialized: Any,
        messages: Any,
        *,
        run_id: Any,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        **rest: Any,
    ) -> None:
        if not _SILENT & set(tags or ()):
            own = [tag for tag in tags or () if not tag.startswith("seq:step")]
            self._about[run_id] = {**(metadata or {}), **({"tags": own} if own else {})}

    def on_llm_new_token(self, token: str, *, run_id: Any, chunk: Any = None, **rest: Any) -> None:
        message = getattr(chunk, "message", None)
        if message is not None and run_id in self._about:
            self._heard(message, self._about[run_id])

    def on_llm_end(self, response: Any, *, run_id: Any, **rest: Any) -> None:
        about = self._about.pop(run_id, None)
        first = next(iter(next(iter(response.generations), ())), None)
        message = getattr(first, "message", None)
        if about is not None and message is not None and message.id not in self.seen:
            self._heard(message, about)

    def on_llm_error(self, error: BaseException, *, run_id: Any, **rest: Any) -> None:
        self._about.pop(run_id, None)

    def tap_output_aiter(self, run_id: Any, output: Any) -> Any:
        return output

    def tap_output_iter(self, run_id: Any, output: Any) -> Any:
        return output

    def _heard(self, message: Any, about: Mapping[str, Any]) -> None:
        if message.id is not None:
            self.seen.add(message.id)
        _say(self._memo, Said(message, about))


@lru_cache(1)
def _handler_class() -> Callable[[TaskCall], Any]:
    from langchain_core.callbacks import BaseCallbackHandler

    return types.new_class("ModelListener", (Listener, BaseCallbackHandler))


def _listener(memo: TaskCall) -> Any:
    return _handler_class()(memo)


def _joined(given: Any, heard: Any) -> Any:
    """The callbacks that were given, without those of the calls around this one, and `heard`. As a
    manager: two lists of the same would count twice where LangChain joins them."""
    if heard is None and not given:
        return None
    from langchain_core.callbacks import CallbackManager

    listed = given is None or isinstance(given, (list, tuple))
    manager: Any = CallbackManager(handlers=[]) if listed else given.copy()
    for one in given or () if listed else ():
        manager.add_handler(one, inherit=True)
    for one in [one for one in manager.handlers if isinstance(one, Listener)]:
        manager.remove_handler(one)
    if heard is not None:
        manager.add_handler(heard, inherit=True)
    return manager if manager.handlers or not listed else None


def _messages(kind: type, value: Any) -> Iterator[Any]:
    if isinstance(value, kind):
        yield value
    elif isinstance(value, (list, tuple)):
        yield from (one for one in value if isinstance(one, kind))


def _say(memo: TaskCall, said: Said) -> None:
    """Put a message on the stream. Those who read it in this process get the message itself."""
    data = serde.dumps(_plain(said.message))
    if memo.over:
        return
    told = (memo.task, events.MESSAGES, data, said)
    if asyncio._get_running_loop() is memo.loop:
        memo.execution.emit_task_event(*told)
    else:
        memo.loop.call_soon_threadsafe(memo.execution.emit_task_event, *told)


def _plain(message: Any) -> Any:
    try:
        return message.model_dump(mode="json")
    except ValueError:  # it carries something that JSON has no word for
        return {"type": message.type, "id": message.id, "content": str(message.content)}
