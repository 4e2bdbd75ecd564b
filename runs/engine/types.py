"""The words of the graph API: what nodes and routers are given and may return."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from inspect import iscoroutinefunction, signature
from typing import Any, ClassVar, Final, Generic, Literal, NoReturn, Protocol, TypeVar

N = TypeVar("N", bound=str)

START: Final = "__start__"
END: Final = "__end__"

#: The longest time that can be given: the end of a longer one may be no date. Seconds.
MOST_SECONDS: Final = 100 * 365 * 86_400


class Missing:
    """The value of a channel that nothing was written to, and of what was not given."""

    def __repr__(self) -> str:
        return "MISSING"

    def __reduce__(self) -> str:
        return "MISSING"  # a copy of it is itself


MISSING: Final = Missing()


@dataclass(frozen=True, slots=True)
class Send:
    """Run `node` in the next superstep with `arg` as its state, once per Send."""

    node: str
    arg: Any


def in_order(several: Iterable[Any]) -> tuple[Any, ...]:
    """Several answers as a tuple; those of a set, which has no order that other processes share,
    by their texts."""
    return tuple(sorted(several, key=repr) if isinstance(several, Set) else several)


@dataclass(frozen=True, kw_only=True)
class Command(Generic[N]):
    """What a node may return to write and to route in one: `update` is merged as a returned dict
    is, `goto` names what runs next beside the node's own edges. `-> Command[Literal["a", "b"]]`
    says where it may go. To a run that waits, `resume` is the answer; any value is, also None."""

    PARENT: ClassVar[Literal["__parent__"]] = "__parent__"

    update: Any = None
    goto: str | Send | Sequence[str | Send] = ()
    resume: Any = MISSING
    graph: Literal["__parent__"] | None = None

    def targets(self) -> tuple[str | Send, ...]:
        """`goto` as a tuple, whatever form it was given in."""
        return (self.goto,) if isinstance(self.goto, (str, Send)) else in_order(self.goto)


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

    def __post_init__(self) -> None:
        """Raises ValueError for a policy that makes no sense."""
        _check_seconds("initial_interval", self.initial_interval)
        _check_seconds("max_interval", self.max_interval)
        factor: Any = self.backoff_factor
        attempts: Any = self.max_attempts
        jitter: Any = self.jitter
        if not _is_number(factor) or not 0 < factor < math.inf:
            _refuse("backoff_factor", factor, "a number above 0")
        if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 1:
            _refuse("max_attempts", attempts, "how often a node is called in all, at least 1")
        if not isinstance(jitter, bool):
            _refuse("jitter", jitter, "True or False")
        _check_retry_on(self.retry_on)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_seconds(name: str, value: float) -> None:
    if not _is_number(value) or not 0 <= value <= MOST_SECONDS:
        _refuse(name, value, f"seconds, from 0 to {MOST_SECONDS:,} (a hundred years)")


def _check_retry_on(wanted: object) -> None:
    if wanted is None or _is_error(wanted):
        return
    if isinstance(wanted, (list, tuple, set, frozenset)) and all(map(_is_error, wanted)):
        return
    call = getattr(wanted, "__call__", None)  # noqa: B004 (of an object: is it async?)
    asynchronous = iscoroutinefunction(wanted) or iscoroutinefunction(call)
    if isinstance(wanted, type) or not callable(wanted) or asynchronous:
        what = "a class of errors, a list of them, or a sync function that takes the error"
        _refuse("retry_on", wanted, what)
    try:
        signature(wanted).bind(None)
    except ValueError:  # some that are written in C do not say what they take
        return
    except TypeError:
        _refuse("retry_on", wanted, "a function that takes one value, the error")


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


def _refuse(name: str, value: object, what: str) -> NoReturn:
    raise ValueError(f"A RetryPolicy has {name}={value!r}; give {what}.")
