"""What the domain refuses, and why: one exception that every outside can render."""

from __future__ import annotations

from collections.abc import Sequence


class Problem(Exception):
    """A request that cannot be done. `code` is stable and for programs, `detail` is one sentence
    for people that says what to do, `errors` are the single faults of an input (`{"at": JSON
    pointer, "detail": ...}`). REST renders it as RFC 9457 problem details with `status`; commands
    print `detail`."""

    def __init__(
        self, status: int, code: str, detail: str, errors: Sequence[dict[str, str]] = ()
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = list(errors)
