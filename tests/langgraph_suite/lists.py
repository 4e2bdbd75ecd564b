"""The two lists beside this module: which of LangGraph's tests are not for us, and which fail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

HERE = Path(__file__).parent
EXPECTED = HERE / "expected_failures.txt"
OUT_OF_SCOPE = HERE / "out_of_scope.txt"

#: Why a test fails: nobody has said so in the docs yet; a word that the engine does not have; a
#: difference that was chosen (docs/engine-differences.md).
Category = Literal["undocumented", "missing", "deliberate"]
CATEGORIES: tuple[str, ...] = get_args(Category)

#: What an exclusion may be about: a file, a test, a fixture, or a text in the source of a test.
KINDS = ("file", "test", "fixture", "text")


@dataclass(frozen=True, order=True)
class Expected:
    """A test that is known to fail: one line of the list."""

    test: str
    category: str
    reason: str

    def line(self) -> str:
        return f"{self.test} | {self.category} | {self.reason}"


def expected(path: Path = EXPECTED) -> dict[str, Expected]:
    """The tests that are known to fail, by id. ValueError for a line that is not understood."""
    found: dict[str, Expected] = {}
    for number, line in _lines(path):
        parts = [part.strip() for part in line.rsplit(" | ", 2)]
        if len(parts) != 3 or parts[1] not in CATEGORIES or not parts[2] or parts[0] in found:
            raise ValueError(
                f"{path.name}:{number}: a line is `test id | category | reason`, once per test; "
                f"the categories are {', '.join(CATEGORIES)}."
            )
        found[parts[0]] = Expected(*parts)
    return found


def exclusions(path: Path = OUT_OF_SCOPE) -> Mapping[str, Mapping[str, str]]:
    """The reason of each exclusion, by kind and then by what is excluded."""
    found: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    for number, line in _lines(path):
        kind, _, rest = line.partition(" ")
        what, bar, reason = (part.strip() for part in rest.rpartition(" | "))
        if kind not in KINDS or not (what and bar and reason):
            raise ValueError(
                f"{path.name}:{number}: a line is `kind what | reason`; the kinds are "
                f"{', '.join(KINDS)}."
            )
        found[kind][what] = reason
    return found


def changed(
    known: Mapping[str, Expected], failed: Mapping[str, str], passed: Iterable[str]
) -> tuple[Sequence[Expected], Sequence[Expected]]:
    """The lines to add and those to take out, when `failed` (with why) and `passed` are what came
    of all tests. Lines of tests that are no more go as well."""
    there = {*failed, *passed}
    new = [Expected(t, "undocumented", why) for t, why in failed.items() if t not in known]
    gone = [one for t, one in known.items() if t not in there or t not in failed]
    return sorted(new), sorted(gone)


def written(known: Iterable[Expected], path: Path = EXPECTED) -> None:
    """Write the list, with the comment at its head, sorted."""
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    path.write_text("\n".join([*head, *(one.line() for one in sorted(known))]) + "\n")


def _lines(path: Path) -> Iterable[tuple[int, str]]:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            yield number, line.strip()
