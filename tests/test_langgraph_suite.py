"""The tier of LangGraph's own tests: its lists are strict, and no word is LangGraph's."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from fastgraph_site.environment import BASE_DIR
from tests.langgraph_suite import lists, sdist, shim
from tests.langgraph_suite.__main__ import _judged
from tests.support import needs

#: Which words of docs/engine-differences.md say so of each reason that is deliberate.
DOCUMENTED = {
    "LangGraph's savers are no Journals of this engine": "LangGraph's savers are refused",
    "a class without fields is no state: refused when the graph is built": "plain class",
    "a compiled graph is no Runnable": "graph is no LangChain Runnable",
    "a compiled graph is no Runnable: to_json() and to_mermaid() draw it": "`to_mermaid()`",
    "a generator as entrypoint is refused with InvalidGraphError, not NotImplementedError": (
        "A generator is refused with `InvalidGraphError`"
    ),
    "a graph in a node that goes on tells its messages again when it ends": (
        "goes on after a question tells its messages again when it ends"
    ),
    "a graph over a single value is refused": "a graph over a single value",
    "a graph without a checkpointer keeps its threads in memory": "without one keeps threads",
    "a kept result is shown like any other, without LangGraph's __metadata__": "`__metadata__`",
    "a node takes the state": "A node takes the state",
    "a task that waits is called again when its answer is there, not with another's": (
        "not when another task gets its answer"
    ),
    "an input makes one checkpoint, where LangGraph makes two": "input makes one checkpoint",
    "errors have texts and classes of our own": "Errors have texts and classes of our own",
    "errors have texts of our own, and retries wait by the run's clock": "by the clock of the run",
    "messages are told without LangGraph's triggers and paths": "LangGraph's triggers and paths",
    "messages stay what they are, and are no LangChain classes": "Messages stay what they are",
    "nobody goes back to a checkpoint of a graph inside: its config is refused, and its history is"
    " its own": "nobody goes back to one of its checkpoints",
    "options of a run that do not exist are refused (version, debug)": "`version`, `debug`",
    "questions that are open at once may be answered in order": (
        "`parallel_questions_can_be_answered_in_order`"
    ),
    "tasks[].error is not there: what failed is an event of the run": "`tasks[i].error` is not",
    "the modes checkpoints and debug tell of a checkpoint what is known when it is made": (
        "do not say what is written or asked yet"
    ),
    "the update of a Command is a mapping, and no list of pairs": "no list of pairs",
    "there is no Overwrite": "There is no `Overwrite`",
    "there is no bulk_update_state": "`bulk_update_state`",
    "there is no get_subgraphs": "`get_subgraphs`",
    "unknown keys are refused": "`unknown_keys_are_refused`",
    "what a node said before the question is not told again by the stream of the answer": (
        "said before it asked is not told again"
    ),
    "what cannot be told from another call raises IdentityError": "raises `IdentityError`",
    "what is on record is not streamed once more when a run goes on (`__metadata__`: cached)": (
        '`"__metadata__": {"cached": True}`'
    ),
}
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


def test_every_deliberate_difference_is_documented() -> None:
    found = {e.reason for e in lists.expected().values() if e.category == "deliberate"}
    assert sorted(found - set(DOCUMENTED)) == [], "say where docs/engine-differences.md has it"
    text = " ".join((BASE_DIR / "docs" / "engine-differences.md").read_text().split())
    assert [words for words in DOCUMENTED.values() if words not in text] == []


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
