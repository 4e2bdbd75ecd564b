"""A new event is one constant and one row in `runs/engine/events.py`: everything else is derived.

The tests do exactly that to the source text, run it in a process of its own, and look at all that
shows events.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from fastgraph_site.environment import BASE_DIR

pytestmark = pytest.mark.processes

CONSTANT = 'ADJOURNED: Final = "adjourned"\n'
ROW = """    EventKind(name=ADJOURNED, meaning="The run waits for a court.", {fields}),
"""
PROGRAM = """
import contextlib, importlib.abc, importlib.util, io, json, os, pathlib, sys

class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name == "runs.engine.events":
            return importlib.util.spec_from_loader(name, self)
    def exec_module(self, module):
        exec(compile(sys.argv[1], "events.py", "exec"), module.__dict__)

sys.meta_path.insert(0, Changed())
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import django; django.setup()
from django.core.management import call_command
from django.contrib.admin import site
from runs import models
from runs.admin.records import EventNameFilter
from runs.engine import events
from runs.queries.event_frames import Frame
from streaming.http.stream_modes import parse_modes
from tests.gates import generate

with contextlib.redirect_stdout(io.StringIO()) as schema:
    call_command("spectacular", "--format", "openapi-json")
frame = Frame(run_id=None, seq=1, event="adjourned", body=b"{}")
print(json.dumps({
    "schema": json.loads(schema.getvalue())["components"]["schemas"]["EventName"],
    "admin": [name for name, _ in EventNameFilter.lookups(None, None, None)],
    "docs": generate.with_events(generate.STREAMS.read_text()),
    "shown": [mode for mode in ("updates", "court") if mode in events.STREAM_MODES
              and parse_modes(mode).allows(frame)],
    "terminal": frame.terminal,
    "ended": "cancelled" in events.TERMINAL_STATUSES,
}))
"""


def with_row(fields: str) -> dict[str, Any]:
    """What the product shows with an event `adjourned` of these fields."""
    source = (BASE_DIR / "runs" / "engine" / "events.py").read_text()
    first = 'CREATED: Final = "created"\n'
    last = ")  # fmt: skip\n\nNAMES: Final"
    assert source.count(first) == source.count(last) == 1
    source = source.replace(first, first + CONSTANT)
    source = source.replace(last, ROW.format(fields=fields) + last)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, source],
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_added_event_about_the_run_appears_everywhere() -> None:
    shown = with_row('status="cancelled", terminal=True')
    assert "adjourned" in shown["schema"]["enum"]
    assert "`adjourned`: The run waits for a court." in shown["schema"]["description"]
    kind = shown["schema"]["x-event-kinds"]["adjourned"]
    assert (kind["status"], kind["terminal"]) == ("cancelled", True)
    assert "adjourned" in shown["admin"]
    assert "| `adjourned` | The run waits for a court. | `cancelled` |  |" in shown["docs"]
    assert shown["shown"] == ["updates"], "an event without a mode passes in every mode"
    assert shown["terminal"] and shown["ended"]


@pytest.mark.parametrize("mode", ["court", "updates"])
def test_added_event_with_a_mode_is_shown_by_this_mode_alone(mode: str) -> None:
    shown = with_row(f'modes=("{mode}",)')
    assert shown["shown"] == [mode]
    assert shown["schema"]["x-event-kinds"]["adjourned"]["modes"] == [mode]
    assert not shown["terminal"]
