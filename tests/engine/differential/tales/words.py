"""What the tales are written with: states, a registry, and the plainest graphs."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from pydantic import BaseModel

from tests.engine.differential.libs import Lib, Tale

TALES: dict[str, Tale] = {}


class State(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]
    total: Annotated[int, operator.add]
    table: Annotated[dict[str, Any], operator.or_]
    x: Any
    y: Any


class Given(TypedDict):
    x: Any


class Told(TypedDict):
    log: list[Any]


class Private(TypedDict):
    secret: Any


@dataclasses.dataclass
class Data:
    n: int
    log: Annotated[list[Any], operator.add] = dataclasses.field(default_factory=list)


class Model(BaseModel):
    n: int
    log: Annotated[list[Any], operator.add] = []


def tale(function: Tale) -> Tale:
    TALES[function.__name__] = function
    return function


def says(*words: Any, **more: Any) -> Callable[[Any], Any]:
    return lambda state: {"log": list(words), **more}


def chain(lib: Lib, *names: str, state: Any = State) -> Any:
    builder = lib.StateGraph(state)
    for name in names:
        builder.add_node(name, says(name))
    for before, after in zip((lib.START, *names), names, strict=False):
        builder.add_edge(before, after)
    return builder
