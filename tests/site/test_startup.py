"""A mistake in the settings or in a workflow is one sentence and code 2: nothing is started. A
database that is damaged is a sentence and code 1."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from fastgraph_site.checks import settings_are_known
from fastgraph_site.environment import BASE_DIR
from fastgraph_site.setting_rules import require_secret

KEY = "kXw3Rk0uJ9v_Qe7ZpT2mYb8sL1dHfGc4NaVxUiOzEtBqWy5j6C"  # 50 characters
HEX = "7b1e5d0a9c3b8e6d4a7c5e1b0d9a3c8e6b4d7a5c1e0b9d3a8c6e"  # 14 different ones


def _check(tmp_path: Path, command: str = "check", **env: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    own = {"PYTHONPATH": str(tmp_path), "FASTGRAPH_DATA_DIR": str(tmp_path / "data"), **env}
    return subprocess.run(
        [sys.executable, "manage.py", *command.split()],
        cwd=BASE_DIR, env=inherited | own, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.processes
@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PORT", "abc", "PORT should be a whole number"),
        ("FASTGRAPH_APPS", "no_such_app", "FASTGRAPH_APPS names 'no_such_app'"),
        ("FASTGRAPH_DATA_DIR", f"{__file__}/data", "FASTGRAPH_DATA_DIR"),
        ("DATABASE_URL", "postgres://u@h/db?pool=true", "DATABASE_URL asks for a pool"),
        ("DATABASE_URL", "rubbish", "DATABASE_URL is no address of a database"),
        ("DATABASE_URL", "mysql://u@h/db", "it begins with postgres:// or sqlite:///"),
        ("FASTGRAPH_SECRET_KEY", "x", "FASTGRAPH_SECRET_KEY can be guessed"),
        ("FASTGRAPH_SECRET_KEY", "a" * 60, "FASTGRAPH_SECRET_KEY can be guessed"),
        ("FASTGRAPH_SECRET_KEY", KEY[:31], "FASTGRAPH_SECRET_KEY can be guessed"),
        ("FASTGRAPH_SECRET_KEY", "3f0a9c71be52d846" * 2 + "3f", "can be guessed"),
        ("FASTGRAPH_SECRET_KEY", HEX[:49], "32 with 16 different ones, or 50 with 8 different"),
        ("FASTGRAPH_SECRET_KEY", "0123456789abcdef" * 4, "FASTGRAPH_SECRET_KEY can be guessed"),
        ("FASTGRAPH_SECRET_KEY", "changeme-" * 7 + "cha", "FASTGRAPH_SECRET_KEY can be guessed"),
        ("FASTGRAPH_SECRET_KEY", f"django-insecure-{KEY}", "not begin with django-insecure-"),
        ("FASTGRAPH_ALLOWED_HOSTS", "*", "would let any site reach this server"),
        ("FASTGRAPH_ALLOWED_HOSTS", "a.example,*.b.example", "FASTGRAPH_ALLOWED_HOSTS names '*.b"),
        ("FASTGRAPH_ALLOWED_HOSTS", "http://a.example", "without scheme and port"),
        ("FASTGRAPH_ALLOWED_HOSTS", ".", "which is no host name"),
        ("FASTGRAPH_ALLOWED_HOSTS", "a.example,.com", "all names below a top-level domain"),
        ("FASTGRAPH_ALLOWED_HOSTS", ".local", "all names below a top-level domain"),
    ],
    ids=[
        "kind",
        "app",
        "folder",
        "pool",
        "address",
        "other_database",
        "key",
        "plain",
        "short",
        "twice",
        "few",
        "repeated",
        "partly",
        "insecure",
        "any",
        "star",
        "scheme",
        "dot",
        "top",
        "local",
    ],
)
def test_a_setting_that_cannot_be_is_one_sentence(
    tmp_path: Path, name: str, value: str, says: str
) -> None:
    done = _check(tmp_path, **{name: value})
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert says in line


@pytest.mark.processes
@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("x = 1\ny = (\n", ["SyntaxError: '(' was never closed", "line 2", "y = ("]),
        (
            "from runs.engine import StateGraph\nStateGraph(3)\n",
            ["3 is not a state", "line 2", "StateGraph(3)"],
        ),
        ("import sys\nsys.exit(0)\n", ["SystemExit: 0", "line 2", "sys.exit(0)"]),
    ],
    ids=["syntax", "raises", "exits"],
)
def test_a_workflow_module_that_fails_is_named_with_its_line(
    tmp_path: Path, source: str, says: list[str]
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "__init__.py").touch()
    (tmp_path / "broken" / "workflows.py").write_text(source)
    done = _check(tmp_path, FASTGRAPH_APPS="broken")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    for part in ["broken.workflows cannot be loaded", *says]:
        assert part in done.stderr


@pytest.mark.processes
@pytest.mark.parametrize("key", ["", "x", "changeme"], ids=["empty", "letter", "word"])
def test_a_kept_key_that_can_be_guessed_is_refused(tmp_path: Path, key: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "secret_key").write_text(key)
    done = _check(tmp_path)
    assert done.returncode == 2
    assert "secret_key can be guessed" in done.stderr


@pytest.mark.parametrize(
    "key",
    [
        "Vq3/ZkT0bn8mYwPj1XcRz5sLhU7eDfGa9K2oBiWxJ4Q=",
        "Vq3_ZkT0bn8mYwPj1XcRz5sLhU7eDfGa9K2oBiWxJ4Q",
        KEY[:32],
        HEX,
    ],
    ids=["base64", "urlsafe", "shortest", "hexadecimal"],
)
def test_a_key_of_enough_different_characters_is_taken(key: str) -> None:
    require_secret(key, "The key")


@pytest.mark.processes
def test_keys_and_hosts_that_can_be_are_taken(tmp_path: Path) -> None:
    hosts = ".example.org,b.local,[::1],10.0.0.1,xn--bcher-kva.example,single"
    assert not _check(tmp_path, FASTGRAPH_SECRET_KEY=KEY, FASTGRAPH_ALLOWED_HOSTS=hosts).returncode


@pytest.mark.processes
@pytest.mark.parametrize("module", ["__init__", "apps", "models", "admin"])
def test_an_app_that_exits_is_an_error(tmp_path: Path, module: str) -> None:
    (tmp_path / "leaving").mkdir()
    (tmp_path / "leaving" / "__init__.py").touch()
    (tmp_path / "leaving" / f"{module}.py").write_text("import sys\n\nsys.exit(0)\n")
    done = _check(tmp_path, FASTGRAPH_APPS="leaving")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "SystemExit(0)" in done.stderr and f"{module}.py, line 3" in done.stderr


@pytest.mark.processes
@pytest.mark.parametrize(
    "command", ["serve", "serve --migrate", "workers", "check", "migrate", "showmigrations"]
)
def test_a_check_that_exits_is_an_error(tmp_path: Path, command: str) -> None:
    (tmp_path / "leaving").mkdir()
    (tmp_path / "leaving" / "__init__.py").touch()
    source = "import sys\nfrom django.core.checks import register\n"
    source += "register(lambda **_: sys.exit(0))\n"
    (tmp_path / "leaving" / "workflows.py").write_text(source)
    done = _check(tmp_path, command, FASTGRAPH_APPS="leaving", PORT="0")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"{command.split()[0]} was not carried out" in done.stderr
    assert "SystemExit(0)" in done.stderr and "workflows.py, line 3" in done.stderr


@pytest.mark.processes
@pytest.mark.parametrize("command", ["migrate", "serve --migrate", "showmigrations"])
def test_a_migration_that_exits_is_an_error(tmp_path: Path, command: str) -> None:
    (tmp_path / "leaving" / "migrations").mkdir(parents=True)
    (tmp_path / "leaving" / "__init__.py").touch()
    (tmp_path / "leaving" / "migrations" / "__init__.py").touch()
    (tmp_path / "leaving" / "migrations" / "0001_initial.py").write_text("import sys\nsys.exit()\n")
    done = _check(tmp_path, command, FASTGRAPH_APPS="leaving", PORT="0", DATABASE_URL="")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "SystemExit(None)" in done.stderr and "0001_initial.py, line 2" in done.stderr


@pytest.mark.processes
def test_a_command_may_exit(tmp_path: Path) -> None:
    commands = tmp_path / "leaving" / "management" / "commands"
    commands.mkdir(parents=True)
    for folder in (commands, commands.parent, commands.parent.parent):
        (folder / "__init__.py").touch()
    source = "import sys\nfrom django.core.management.base import BaseCommand\n"
    source += "class Command(BaseCommand):\n    def handle(self, **_):\n        sys.exit(7)\n"
    (commands / "leave.py").write_text(source)
    assert _check(tmp_path, "leave", FASTGRAPH_APPS="leaving").returncode == 7


def own_command(folder: Path, source: str) -> None:
    """The command `own` of an app `own`."""
    commands = folder / "own" / "management" / "commands"
    commands.mkdir(parents=True)
    for package in (commands, commands.parent, commands.parent.parent):
        (package / "__init__.py").touch()
    imports = "from django.core.management.base import BaseCommand\n"
    (commands / "own.py").write_text(imports + source)


@pytest.mark.processes
def test_a_command_that_is_ended_may_exit_while_a_signal_is_sent(tmp_path: Path) -> None:
    source = """
import os, signal, sys
from django.dispatch import Signal

def end(*_):
    sys.exit(0)

class Command(BaseCommand):
    def handle(self, **_):
        signal.signal(signal.SIGTERM, end)
        sent = Signal()
        receiver = lambda **_: os.kill(os.getpid(), signal.SIGTERM)
        sent.connect(receiver)
        sent.send(None)
        sys.exit(7)  # not reached
"""
    own_command(tmp_path, source)
    done = _check(tmp_path, "own", FASTGRAPH_APPS="own")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.processes
@pytest.mark.parametrize("name", ["pre_migrate", "post_migrate"])
def test_a_receiver_that_exits_while_it_is_migrated_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "leaving").mkdir()
    (tmp_path / "leaving" / "__init__.py").touch()
    source = f"import sys\nfrom django.db.models.signals import {name}\n"
    source += f"def leave(**_):\n    sys.exit(0)\n{name}.connect(leave)\n"
    (tmp_path / "leaving" / "workflows.py").write_text(source)
    done = _check(tmp_path, "migrate", FASTGRAPH_APPS="leaving", DATABASE_URL="")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "SystemExit(0)" in done.stderr and "workflows.py, line 4" in done.stderr


@pytest.mark.processes
def test_an_error_of_another_database_is_not_said_of_this_one(tmp_path: Path) -> None:
    source = """
from django.db import connections

class Command(BaseCommand):
    def handle(self, **_):
        other = connections.create_connection("default")
        other.settings_dict = {**other.settings_dict, "NAME": "file:/no/such/folder/x?mode=ro"}
        other.cursor()
"""
    own_command(tmp_path, source)
    done = _check(tmp_path, "own", FASTGRAPH_APPS="own", DATABASE_URL="")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback") and "OperationalError" in done.stderr
    assert "fastgraph.sqlite3" not in done.stderr


@pytest.mark.processes
def test_a_warning_of_the_checks_is_printed_once(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    (tmp_path / "data" / "fastgraph.sqlite3").touch(0o644)
    (tmp_path / "refused").mkdir()
    for name in ("__init__", "apps", "models"):
        (tmp_path / "refused" / f"{name}.py").touch()
    # A last check of the database's, so that nothing is served.
    source = "from django.core.checks import Error, Tags, register\n"
    source += "def no_more(databases=None, **_):\n"
    source += "    return [Error('no more', id='own.E1')] if databases else []\n"
    source += "register(no_more, Tags.database)\n"
    (tmp_path / "refused" / "workflows.py").write_text(source)
    done = _check(tmp_path, "serve --migrate", FASTGRAPH_APPS="refused", PORT="0", DATABASE_URL="")
    assert done.returncode == 1 and "no more" in done.stderr
    assert done.stderr.count("runs.W002") == 2, "one for the folder, one for the file"


def cut_short(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE rows (data TEXT)")
    os.truncate(path, 4096)


def overwritten(path: Path) -> None:
    path.write_bytes(b"\xde\xad" * 50_000)


@pytest.mark.processes
@pytest.mark.parametrize("harm", [cut_short, overwritten], ids=lambda harm: harm.__name__)
@pytest.mark.parametrize(
    "command", ["migrate", "showmigrations", "check --database default", "serve --migrate"]
)
def test_a_database_file_that_is_damaged_is_a_sentence(
    tmp_path: Path, command: str, harm: Callable[[Path], None]
) -> None:
    path = tmp_path / "data" / "fastgraph.sqlite3"
    path.parent.mkdir(mode=0o700)
    harm(path)
    done = _check(tmp_path, command, DATABASE_URL="", PORT="0")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert str(path) in done.stderr and "put a backup in" in done.stderr
    if command == "migrate":
        asked = _check(tmp_path, "migrate --traceback", DATABASE_URL="")
        assert "Traceback" in asked.stderr


def test_a_setting_that_nobody_reads_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_are_known() == []
    monkeypatch.setenv("FASTGRAPH_WORKRS", "2")
    (warning,) = settings_are_known()
    assert "FASTGRAPH_WORKRS" in warning.msg
    assert warning.hint == "Is FASTGRAPH_WORKERS meant?"
