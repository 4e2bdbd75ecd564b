"""A server goes on with what an earlier version left: runs that wait, sleep, run or are over, under
the ids that its clients know.

`tests/upgrades/make.py` makes a dump of a version, `tests/upgrades/dumps` has one of each state of
the migrations.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastgraph_site.environment import BASE_DIR
from tests.support.databases import own_database
from tests.upgrades.restore import DUMPS, state

#: States that no version stood at: these migrations came with `0011_fewer_indexes`, all at once. A
#: server may have been stopped between them all the same.
TOGETHER = (
    "0006_payloads",
    "0007_limits",
    "0008_durability",
    "0009_deleted_run",
    "0010_suspects",
)
BEFORE = "0005_idempotency"
ALL = sorted(path.stem for path in DUMPS.glob("*.jsonl"))


def test_every_state_of_the_migrations_has_a_dump() -> None:
    """Before a new migration: `python tests/upgrades/make.py . tests/upgrades/dumps/NAME.jsonl`,
    with the name of the newest one, at the commit before yours."""
    dumped = {(app, newest) for dump in ALL for app, newest in state(dump)}
    dumped |= {("runs", name) for name in TOGETHER}
    for app in ("runs", "artifacts"):
        names = sorted(path.stem for path in (BASE_DIR / app / "migrations").glob("[0-9]*.py"))
        missing = {(app, name) for name in names[:-1]} - dumped
        assert not missing, f"no dump in {DUMPS} of the versions at {missing}"


@pytest.mark.processes
@pytest.mark.timeout(600)
@pytest.mark.parametrize("dump", ALL)
def test_runs_of_an_earlier_version_go_on(tmp_path: Path, dump: str) -> None:
    play(tmp_path, dump)


@pytest.mark.processes
@pytest.mark.timeout(600)
def test_an_upgrade_that_is_stopped_between_its_migrations_goes_on(tmp_path: Path) -> None:
    play(tmp_path, BEFORE, *TOGETHER)


def play(folder: Path, dump: str, *stops: str) -> None:
    with own_database(migrated=False) as url:
        more = {
            "DJANGO_SETTINGS_MODULE": "fastgraph_site.settings",
            "DATABASE_URL": url,
            "FASTGRAPH_DATA_DIR": str(folder),
            "FASTGRAPH_APPS": "tests.upgrades",
            "FASTGRAPH_LINGER_SECONDS": "0.2",
        }
        command = [sys.executable, "-m", "tests.upgrades.play", dump, *stops]
        played = subprocess.run(
            command, cwd=BASE_DIR, env=os.environ | more, capture_output=True, text=True
        )
    assert played.returncode == 0, played.stderr[-6000:]
