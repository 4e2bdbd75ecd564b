"""The words of the graph API: what nodes and routers are given and may return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, Literal, Protocol, TypeVar

N = TypeVar("N", bound=str)

START: Final = "__start__"
END: Final = "__end__"


class Missing:
    """The value of a channel that nothing was written to."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


@dataclass(frozen=True, slots=True)
class Send:
    """Run `node` in the next superstep with `arg` as its state, once per Send."""

    node: str
    arg: Any


@dataclass(frozen=True, kw_only=True)
class Command(Generic[N]):
    """What a node may return to write and to route in one: `update` is merged as a returned dict
    is, `goto` names what runs next beside the node's own edges. `-> Command[Literal["a", "b"]]`
    says where it may go."""

    PARENT: ClassVar[Literal["__parent__"]] = "__parent__"

    update: Any = None
    goto: str | Send | Sequence[str | Send] = ()
    resume: Any = None
    graph: Literal["__parent__"] | None = None

    def targets(self) -> tuple[str | Send, ...]:
        """`goto` as a tuple, whatever form it was given in."""
        return (self.goto,) if isinstance(self.goto, (str, Send)) else tuple(self.goto)


@dataclass(frozen=True)
class Interrupt:
    """What a node asked with `interrupt()`, and the id to answer it by. `schema` is JSON Schema
    for the answer, for whoever draws a form. A `stop` asks nothing: the graph was compiled to wait
    here, and any Command lets it go on."""

    value: Any
    id: str
    node: str = ""
    namespace: str = ""
    schema: Any = None
    stop: bool = False


class Cache(Protocol):
    """Where results of nodes are kept: bytes by key."""

    async def get(self, key: str) -> bytes | None:
        """What was put under `key`, unless its time is over."""
        ...

    async def put(self, key: str, value: bytes, ttl: float | None) -> None:
        """Keep `value` for `ttl` seconds; None: as long as there is room."""
        ...


@dataclass(frozen=True, kw_only=True)
class CachePolicy:
    """Keep what a node writes, and write it again without running the node when it is given the
    same: `key_func` makes something storable of its state (otherwise all that it is given counts,
    also the context if it takes that), `ttl` is how long, in seconds. Of a `@task` it is what the
    function returns that is kept, and `key_func` takes the arguments of its call."""

    key_func: Callable[..., Any] | None = None
    ttl: float | None = None


@dataclass(frozen=True)
class RetryPolicy:
    """Run a node again after an error: at most `max_attempts` times in all, waiting
    `initial_interval` seconds, then `backoff_factor` times as long, up to `max_interval`. Without
    `retry_on`: after what may go better next time (a lost connection, a timeout of the node, an
    answer of 5xx, errors that nothing is known of), not after errors of the program."""

    initial_interval: float = 0.5
    backoff_factor: float = 2.0
    max_interval: float = 128.0
    max_attempts: int = 3
    jitter: bool = True
    retry_on: type[Exception] | Sequence[type[Exception]] | Callable[[Exception], bool] | None = (
        None
    )
