"""Every fault point, every bundled workflow, both databases: a worker that dies there, and
its run that goes on, leave what a worker that lived leaves."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from fastgraph_site import workflows as bundled
from runs.engine import faults
from runs.process import crash_points
from tests.acceptance.test_main_job import story
from tests.support.client import Client
from tests.support.databases import own_database
from tests.support.processes import Server
from tests.support.promises import promise

TEXT = "The quick brown fox jumps over the lazy dog. It does so every day, rain or shine. " * 20
PAYLOADS: dict[str, dict[str, Any]] = {
    "text_report": {"input": TEXT},
    "csv_profile": {"input": "city,people,founded\nOslo,717710,1040\nBergen,291940,1070\n"},
    "steps": {"steps": 4, "seconds": 0},
    "ledger": {"transfers": 2, "seconds": 0},
    "tokens": {"count": 20, "interval": 0.001},
}
#: Of the test's own, in `fault_host.py`.
LEDGER: dict[str, Any] = {"paid": []}
NODES = ["first", "left", "right", "second"]
#: Where atomic nodes do not come: theirs is another record.
RECORDS = ("before_record", "after_record")
TRANSACTIONS = ("before_transaction", "after_transaction")
FIRST = ("first", "sync")
MARKS = ("created", "started", "recovered")
STATED_ANEW = {"custom", "node_update"}


#: Per fault point the steps at which a run comes there, in order; None outside its supersteps.
Reached: TypeAlias = dict[str, list[int | None]]


class Host:
    """One `fault_host.py`: its data folder, its database."""

    def __init__(self, folder: Path, url: str) -> None:
        quick = {"DATABASE_URL": url, "FASTGRAPH_LINGER_SECONDS": "0"}
        self.server = Server(folder / "data", quick)
        self.server.provide_tables()
        self.wholes: dict[tuple[str, str], tuple[Reached, dict[str, Any]]] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.acceptance.fault_host"],
            env={k: v for k, v in self.server.env.items() if k != "DJANGO_SETTINGS_MODULE"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, command: str, *arguments: Any) -> tuple[int, Any]:
        """The exit code of the child, and what it gave."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([command, *arguments]) + "\n")
        self._process.stdin.flush()
        code, answer = json.loads(self._process.stdout.readline())
        return code, answer

    def get(self, command: str, *arguments: Any) -> Any:
        code, answer = self.ask(command, *arguments)
        assert code == 0, f"{command} ended with {code}"
        return answer

    def whole(self, workflow: str, durability: str) -> tuple[Reached, dict[str, Any]]:
        """At which steps the run that is not killed reaches each point, and its story."""
        if (workflow, durability) not in self.wholes:
            run_id = self.create(workflow, durability)
            reached = self.get("work", "")
            self.wholes[workflow, durability] = reached, self.get("story", run_id)
        return self.wholes[workflow, durability]

    def create(self, workflow: str, durability: str) -> str:
        payload = PAYLOADS.get(workflow, LEDGER)
        return str(self.get("create", workflow, payload, durability))

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with own_database() as url:
        host = Host(tmp_path_factory.mktemp("faults"), url)
        try:
            yield host
        finally:
            host.close()


def told(story: dict[str, Any]) -> list[list[Any]]:
    """What the events say, without ids, times and the marks of attempts. What tasks that run at the
    same time say may come in any order: sorted within a superstep. A `custom` event that a repeated
    node states anew, because it says another time, counts once, and so does its update after it:
    what had been written when the process died is not taken back."""
    supersteps: list[list[str]] = [[]]
    talkative: set[str] = set()
    for name, node, step, namespace, data in story["events"]:
        if name in MARKS:
            continue
        data = {k: v for k, v in (data or {}).items() if not k.endswith("_id") and k != "t_ns"}
        line = json.dumps([name, node, step, namespace, data], sort_keys=True)
        if name == "custom":
            talkative.add(node)
        if not (node in talkative and name in STATED_ANEW and line in supersteps[-1]):
            supersteps[-1].append(line)
        if name == "checkpoint":
            supersteps.append([])
    return [sorted(superstep) for superstep in supersteps]


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one["run"] == other["run"]
    assert one["state"] == other["state"]
    assert one["artifacts"] == other["artifacts"]
    assert one["paid"] == other["paid"]
    assert told(one) == told(other)
    assert one["seqs"] == list(range(1, len(one["seqs"]) + 1))
    assert one["left"] == 0


@pytest.mark.parametrize("which", ["first", "last"])
@pytest.mark.parametrize("point", faults.POINTS)
@pytest.mark.parametrize("workflow", PAYLOADS)
def test_it_goes_on_as_if_nothing_had_happened(
    host: Host, workflow: str, point: str, which: str
) -> None:
    if point not in host.whole(workflow, "sync")[0]:
        assert (point in RECORDS and workflow in ("steps", "tokens")) or point in TRANSACTIONS
        pytest.skip(f"{workflow} does not come there")
    die_and_go_on(host, workflow, "sync", point, which)


@pytest.mark.parametrize("point", [p for p in faults.POINTS if p not in TRANSACTIONS])
@pytest.mark.parametrize("durability", ["async", "exit"])
def test_it_does_so_when_steps_are_kept_later(host: Host, durability: str, point: str) -> None:
    """With the record of a run that kept each step at once."""
    die_and_go_on(host, "text_report", durability, point, "last")


@pytest.mark.parametrize(
    ("point", "which"),
    [
        *((point, "first") for point in TRANSACTIONS),
        *((point, "last") for point in faults.POINTS if point not in RECORDS),
    ],
)
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_what_atomic_nodes_did_is_done_once(
    host: Host, durability: str, point: str, which: str
) -> None:
    killed = die_and_go_on(host, "payments", durability, point, which)
    with promise("an atomic node pays once"):
        assert killed["paid"] == NODES


def die_and_go_on(
    host: Host, workflow: str, durability: str, point: str, which: str
) -> dict[str, Any]:
    """The story of a run that was killed there, which is that of one that was not."""
    whole = host.whole(workflow, "sync")[1]
    assert whole["run"][0] == "completed"
    steps = host.whole(workflow, durability)[0][point]
    step = steps[0 if which == "first" else -1]
    run_id = host.create(workflow, durability)
    address = crash_points.OUTSIDE if step is None else step
    code, _ = host.ask("work", f"{point}:{address}:{run_id}")
    assert code == crash_points.CODE
    # Where nobody waits for each step, a batch may be all of the run.
    ended = point == "after_finish" or (point == "after_hint" and (which, durability) != FIRST)
    recovered = host.get("sweep")
    assert recovered == 1 or (ended and recovered == 0)
    host.get("work", "")
    killed: dict[str, Any] = host.get("story", run_id)
    with promise("a killed run leaves what a whole one leaves"):
        assert_same(killed, whole)
    return killed


def test_the_table_has_every_bundled_workflow() -> None:
    source = Path(bundled.__file__).read_text()
    assert re.findall(r'^register\(\n    "(\w+)"', source, re.MULTILINE) == list(PAYLOADS)


def test_a_server_dies_there_too(own_server: Server) -> None:
    """The variable, the real cluster, and nobody who sweeps by hand."""
    own_server.stop()
    own_server.env["FASTGRAPH_FAULT"] = "after_commit:3"
    own_server.start()
    with Client(own_server.url) as client:
        run = client.create("steps", PAYLOADS["steps"])
        assert client.wait(run["id"])["status"] == "completed"
        whole = client.create("steps", PAYLOADS["steps"])
        client.wait(whole["id"])
        with promise("a run that lost its worker leaves what another leaves"):
            assert story(client.events(run["id"])) == story(client.events(whole["id"]))
    assert (own_server.data_dir / "died-after_commit").exists()


@pytest.mark.parametrize("fault", ["nowhere", "after_commit:x", "after_commit:1.5"])
def test_a_fault_that_cannot_be_read(fault: str) -> None:
    with pytest.raises(ValueError):
        crash_points.arm(fault)
