"""The tier of LangGraph's own tests: its lists are strict, and no word is LangGraph's."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import needs
from tests.langgraph_suite import lists, sdist, shim
from tests.langgraph_suite.__main__ import _judged

KNOWN = {"t.py::a": lists.Expected("t.py::a", "missing", "a word")}


def test_a_new_failure_and_one_that_passes_now_are_both_told() -> None:
    new, gone = lists.changed(KNOWN, {"t.py::b": "no such word"}, ["t.py::a"])
    assert new == [lists.Expected("t.py::b", "undocumented", "no such word")]
    assert gone == [KNOWN["t.py::a"]]


def test_what_is_expected_is_no_change_and_what_is_gone_is() -> None:
    assert lists.changed(KNOWN, {"t.py::a": "as ever"}, ["t.py::c"]) == ([], [])
    assert lists.changed(KNOWN, {}, ["t.py::c"]) == ([], [KNOWN["t.py::a"]])


@pytest.mark.parametrize("failed", [{}, {"t.py::a": "why", "t.py::b": "why"}], ids=["less", "more"])
def test_the_gate_fails_for_less_and_for_more_failures(
    failed: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lists, "expected", lambda: KNOWN)
    assert _judged({"failed": failed, "passed": ["t.py::c"]}) == 1
    assert "--update" in capsys.readouterr().out


def test_the_gate_ends_with_the_share(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lists, "expected", lambda: KNOWN)
    assert _judged({"failed": {"t.py::a": "why"}, "passed": ["t.py::b", "t.py::c"]}) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "2 of 3 tests in scope pass (66.7%)" in line
    assert "0 undocumented, 1 missing, 0 deliberate" in line


def test_both_lists_are_in_order() -> None:
    known = list(lists.expected().values())
    assert known == sorted(known)
    assert set(lists.exclusions()) == set(lists.KINDS)


@pytest.mark.parametrize(
    "line", ["t.py::a | missing", "t.py::a | odd | why", "t.py::a | missing |"]
)
def test_a_line_without_category_or_reason_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "list.txt").write_text(f"# head\n{line}\n")
    with pytest.raises(ValueError, match=r"list\.txt:2"):
        lists.expected(tmp_path / "list.txt")


def test_a_list_is_written_as_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("# head\n")
    lists.written(KNOWN.values(), path)
    assert lists.expected(path) == KNOWN
    assert path.read_text().startswith("# head\n")


def test_a_word_that_is_not_there_can_be_named_and_not_used() -> None:
    module: Any = shim._Module("langgraph.types")
    assert module.Overwrite is module.Overwrite
    assert module.Overwrite[int] is module.Overwrite
    with pytest.raises(shim.NotThere, match="Overwrite"):
        module.Overwrite(1)
    with pytest.raises(shim.NotThere, match="Overwrite"):
        _ = module.Overwrite.value


def test_the_shim_does_not_go_beside_the_real_langgraph() -> None:
    pytest.importorskip("langgraph.graph")
    with pytest.raises(RuntimeError, match="imported already"):
        shim.install()


def test_a_registry_that_cannot_be_had_is_something_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = subprocess.CompletedProcess([], 1, "", "no route")
    monkeypatch.setattr(sdist, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: refused)
    with pytest.raises(needs.Missing, match="no route"):
        sdist.unpacked()
    assert not list((tmp_path / "kept").iterdir())
