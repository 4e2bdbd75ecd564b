"""What the code of a function does, as nested lists of texts."""

from __future__ import annotations

import types
from typing import Any

import orjson


def code_of(code: types.CodeType) -> list[Any]:
    """What the code does: not where it stands in its file."""
    return [
        code.co_code.hex(),
        code.co_exceptiontable.hex(),
        [_constant(constant) for constant in code.co_consts],
        [code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars],
        [code.co_flags, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount],
    ]


def _constant(value: Any) -> Any:
    if isinstance(value, types.CodeType):
        return code_of(value)
    if isinstance(value, (tuple, frozenset)):
        found = [_constant(item) for item in value]
        ordered = found if isinstance(value, tuple) else sorted(found, key=orjson.dumps)
        return [type(value).__name__, ordered]
    return [type(value).__name__, repr(value)]
