"""Jobs: the cluster executes the server's own and those declared in FASTGRAPH_JOBS, and no others.

django-q2 imports and calls any function that a job, a schedule or a hook names, and unpickles any
package that is signed. Who can write one row of its tables could run any command. Here a name that
is not declared is never imported, and a pickle gives plain data and names, never objects that act.
"""

from __future__ import annotations

import logging
import pickle
import pydoc
import uuid
from base64 import b64decode
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import wraps
from io import BytesIO
from pathlib import PosixPath, PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models.signals import post_save
from django_q import signals, signing, worker
from django_q.core_signing import BadSignature
from django_q.models import Task

from runs.conf import conf
from runs.db.guard import open_transactions
from runs.db.guard.user_calls import undisturbed

_log = logging.getLogger("fastgraph.jobs")

_HINT = "Name it in FASTGRAPH_JOBS if it is to be executed."
_REQUIRED = {"id": str, "name": str, "func": str, "args": (list, tuple), "kwargs": dict}
_OPTIONAL = {"timeout": (int, float, type(None)), "chain": (list, type(None))}


class RefusedError(BadSignature):
    """A package that is not taken. A bad signature to django-q2, which deletes such packages."""


class Reference(str):
    """The dotted path of a class or function that a pickle names. It is text: nothing was imported,
    and a pickle that tries to call it fails."""

    __slots__ = ()


_PLAIN = {
    (kind.__module__, kind.__qualname__): kind
    for kind in (
        *(set, frozenset, complex, bytearray, range, slice, list, dict, tuple, str, int, float),
        *(bool, bytes, date, datetime, time, timedelta, timezone, Decimal, uuid.UUID, ZoneInfo),
        *(OrderedDict, defaultdict, deque, PurePosixPath, PosixPath),
    )
}


def _zone_maker(owner: object, name: object) -> Any:
    """`getattr`, as the pickle of a time zone uses it, and for nothing else."""
    if owner is ZoneInfo and name == "_unpickle":
        return getattr(ZoneInfo, "_unpickle")  # noqa: B009 (it is not in the stubs)
    raise RefusedError(f"It asks for attribute {name!r} of {owner!r}.")


class _PlainUnpickler(pickle.Unpickler):
    """Makes plain data. Every other class and function becomes a Reference."""

    def __init__(self, data: bytes) -> None:
        super().__init__(BytesIO(data))
        self.references: list[Reference] = []

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("builtins", "getattr"):
            return _zone_maker
        if (module, name) in _PLAIN:
            return _PLAIN[module, name]
        self.references.append(Reference(f"{module}.{name}"))
        return self.references[-1]


def loads(data: bytes) -> Any:
    """What a pickle holds: plain data, and References. RefusedError for anything else."""
    unpickler = _PlainUnpickler(data)
    try:
        return unpickler.load()
    except Exception as error:  # a pickle can raise anything
        named = ", ".join(map(repr, unpickler.references))
        held = f"It holds {named}, which is no plain data." if named else f"{error}"
        raise RefusedError(f"The pickle cannot be read. {held}") from error


def unpacked(package: str) -> dict[str, Any]:
    """The job in a package of django-q2, which is well formed. RefusedError for a package that is
    not signed with our key, or that holds more than plain data and names of functions."""
    try:
        job = signing.SignedPackage.loads(package)
    except RefusedError:
        raise
    except Exception as error:
        raise RefusedError(f"The package cannot be read: {error}") from error
    if not isinstance(job, dict):
        raise RefusedError("The package holds no job.")
    for field, kinds in _REQUIRED.items():
        if not isinstance(job.get(field), kinds):  # type: ignore[arg-type]
            raise RefusedError(f"Field {field!r} of the job is missing or of the wrong kind.")
    if not job["func"]:
        raise RefusedError("The job names no function.")
    for field, kinds in _OPTIONAL.items():
        if not isinstance(job.get(field), kinds):
            raise RefusedError(f"Field {field!r} of the job is of the wrong kind.")
    for reference in _references([job["args"], job["kwargs"]]):
        raise RefusedError(
            f"The arguments of job {job['func']!r} hold {str(reference)!r}: they must be plain"
            " data. Give the id of an object, and its dotted path instead of a function."
        )
    return job


def _references(value: Any) -> Iterator[Reference]:
    if isinstance(value, Reference):
        yield value
    elif isinstance(value, Mapping):
        for pair in value.items():
            yield from _references(pair)
    elif isinstance(value, list | tuple | set | frozenset | deque):
        for item in value:
            yield from _references(item)


def declared() -> frozenset[str]:
    """The dotted paths of all that the cluster executes."""
    settings = conf()
    return frozenset({settings.worker_job, *(path.strip() for path in settings.jobs)})


def refusal(job: Mapping[str, Any]) -> str:
    """Why a job is not executed, as a sentence; empty for one that is. Its function, its hook and
    every function of its chain must be declared."""
    names = [("function", job.get("func"))]
    if job.get("hook"):
        names.append(("hook", job["hook"]))
    for step in job.get("chain") or ():
        names.append(("chain's function", step[0] if isinstance(step, tuple) and step else step))
    known = declared()
    for what, name in names:
        if not isinstance(name, str) or name not in known:
            return f"Its {what} {name!r} is not declared. {_HINT}"
    return ""


def report(name: object, func: object, why: str) -> None:
    """Log that a job was refused."""
    _log.error("Job %r of %r is refused. %s", str(name), str(func), why)


def call_declared_hook(sender: type[Task], instance: Task, **kwargs: Any) -> None:
    """Takes the place of django-q2's own receiver, which imports any name."""
    if not instance.hook:
        return
    if isinstance(instance.hook, str) and instance.hook in declared():
        signals.call_hook(sender, instance)
    else:
        report(instance.name, instance.func, f"Its hook {instance.hook!r} is not called. {_HINT}")


def _stored_value(value: Any) -> Any:
    """A value of a row of results: plain data, or else the text that it is stored as."""
    if not isinstance(value, str):
        return value
    try:
        return loads(b64decode(value))
    except (RefusedError, ValueError):
        return value


def _guarded(path: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A job's function. It raises LeftOpen when it leaves a transaction, which the jobs after it
    would write into; one that stays open for long is reported meanwhile."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with open_transactions.reported():
            return undisturbed(f"Job {path!r}", function, *args, **kwargs)

    return call


class _DeclaredFunctions:
    """Takes the place of `pydoc` in django-q2's worker, which looks up any name there."""

    @staticmethod
    def locate(path: str) -> Any:
        """The function; for one that is not declared, a function that raises RefusedError."""
        why = refusal({"func": path})
        if not why:
            found = pydoc.locate(path)
            is_ours = path == conf().worker_job
            return found if is_ours or not callable(found) else _guarded(path, found)

        def refuse(*args: object, **kwargs: object) -> None:
            raise RefusedError(why)

        report("of a worker", path, why)
        return refuse


def connect() -> None:
    """Put this in force in the present process, and in those that it forks. Our own cluster does
    not even hand a refused job to a worker (`cluster.declared`); this holds for any other way in
    which django-q2 is run here."""
    setattr(worker, "pydoc", _DeclaredFunctions)  # noqa: B010
    signing.PickleSerializer.loads = staticmethod(loads)
    post_save.disconnect(signals.call_hook, sender=Task)
    post_save.connect(call_declared_hook, sender=Task)
    for name in ("args", "kwargs", "result"):
        # Of these fields alone: another model of the project may keep its own pickles.
        setattr(Task._meta.get_field(name), "to_python", _stored_value)  # noqa: B010
