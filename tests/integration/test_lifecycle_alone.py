"""Nothing but `runs/lifecycle` changes a status, numbers an event or notifies of a change."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastgraph_site.environment import BASE_DIR
from runs.lifecycle import transitions

#: What has a say in it: the room, the functions that it calls, and the migrations.
EXCEPT = ("runs/lifecycle/", "runs/migrations/", "runs/engine/")
NOTIFIERS = ("runs/lifecycle/wakeup.py", "runs/notify/")
COLUMNS = {"status", "pending_reason", "seq"}
#: The modules and transactions that notify, and their functions, also under their later names.
SENDERS = {"wakeup", "changes", "pipes", "opened", "written", "transaction"}
SENDS = {"announce", "ring", "notify", "notify_changes", "notify_workers", "enqueue_wakeup"}
NAMES = ("runs", "streaming", "artifacts", "fastgraph_site")


def faults(source: str, *, may_notify: bool = False) -> list[str]:
    """The places of a module that do by hand what the room is there for."""
    tree = ast.parse(source)
    return [
        f"line {getattr(node, 'lineno', '?')}: {fault}"
        for node in ast.walk(tree)
        for fault in (*_changes(node), *_numbers(node), *(() if may_notify else _notifies(node)))
    ]


def _changes(node: ast.AST) -> Iterator[str]:
    """Assigned columns of a run, and columns in an UPDATE or a new row."""
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        flat = [one for t in targets for one in (t.elts if isinstance(t, ast.Tuple) else [t])]
        for target in flat:
            if isinstance(target, ast.Attribute) and target.attr in COLUMNS:
                owner = target.value
                own = isinstance(owner, ast.Name) and owner.id == "self"
                if not own and not _is_numbered(node.value):
                    yield f"assigns .{target.attr}"
    if isinstance(node, ast.Call):
        named = {keyword.arg for keyword in node.keywords}
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        model = node.func.id if isinstance(node.func, ast.Name) else ""
        written = called in ("update", "create", "bulk_create") or model in ("Run", "Event")
        tuples = [
            one.elts for one in node.args if called == "update" and isinstance(one, ast.Tuple)
        ]
        named |= {str(one.value) for t in tuples for one in t if isinstance(one, ast.Constant)}
        if written and (found := named & COLUMNS):
            yield f"sets {', '.join(map(str, found))} in {called or model}()"
        for keyword in node.keywords:
            if keyword.arg == "update_fields" and isinstance(keyword.value, ast.List | ast.Tuple):
                constants = [x for x in keyword.value.elts if isinstance(x, ast.Constant)]
                if saved := COLUMNS.intersection(str(x.value) for x in constants):
                    yield f"saves {', '.join(sorted(saved))}"


def _is_numbered(value: ast.AST | None) -> bool:
    """Whether it is what `event_log.seq_after` returned."""
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr == "seq_after"
    )


def _numbers(node: ast.AST) -> Iterator[str]:
    """`seq + 1` and `F("seq") + 1` of a run."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        for side in (node.left, node.right):
            if isinstance(side, ast.Attribute) and side.attr == "seq":
                yield "counts .seq up"
            if isinstance(side, ast.Call) and any(
                isinstance(one, ast.Constant) and one.value == "seq" for one in side.args
            ):
                yield "counts seq up in the database"


def _notifies(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        owner = node.func.value
        if node.func.attr in SENDS and isinstance(owner, ast.Name) and owner.id in SENDERS:
            yield f"calls {owner.id}.{node.func.attr}"


def modules() -> list[Path]:
    found = [path for name in NAMES for path in (BASE_DIR / name).rglob("*.py")]
    return [p for p in found if not str(p.relative_to(BASE_DIR)).startswith(EXCEPT)]


def test_status_seq_and_notification_are_of_the_lifecycle_alone() -> None:
    found = {}
    for path in modules():
        name = str(path.relative_to(BASE_DIR))
        if here := faults(path.read_text(), may_notify=name.startswith(NOTIFIERS)):
            found[name] = here
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "run.status = 'pending'",
        "run.status, run.wake_at = 'pending', None",
        "run.seq += 1",
        "Run.objects.filter(pk=1).update(status='pending')",
        "Run(thread=thread, status='running')",
        "Run(thread=thread, seq=1)",
        "Event.objects.create(run=run, seq=2)",
        "rows.update(connection, Run, ('status', 'entries'), values)",
        "run.save(update_fields=['status'])",
        "Event(run=run, seq=run.seq + 1)",
        "paused.update(x=F('seq') + 1)",
        "changes.notify_changes()",
        "opened.announce(ended=True)",
        "wakeup.ring(ask=ask)",
    ],
)
def test_the_scan_finds(source: str) -> None:
    assert faults(source)


def test_the_table_in_the_documentation_is_the_codes() -> None:
    text = (BASE_DIR / "docs/architecture.md").read_text()
    assert table() in text, f"docs/architecture.md lacks this table:\n{table()}"


def table() -> str:
    """The table of transitions, as Markdown."""
    lines = ["| transition | from | to | event | `pending_reason` | lease | wakes a worker |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for row in transitions.TABLE:
        cells = (
            row.name,
            ", ".join(sorted(map(str, row.sources))),
            str(row.target),
            f"`{row.event}`" if row.event else "-",
            f"`{row.reason}`" if row.reason else "-",
            "none" if row.releases_lease else "begins",
            "yes" if row.makes_work else "-",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
