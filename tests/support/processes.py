"""A real `manage.py serve` in processes of its own, and the promise that none is left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import httpx

from fastgraph_site.environment import BASE_DIR, SETTINGS
from tests.support.databases import own_database, provide_tables

START_SECONDS = 60.0
STOP_SECONDS = 30.0  # nets, also on a busy machine; nothing is measured by them


def wait_until(what: str, true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Returns as soon as `true()` is; AssertionError that names `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.02)


def free_port() -> int:
    """A port of the loopback address that nobody listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Server:
    """One installation: its data folder, its port, its processes. It may be stopped or killed and
    started again; `close` ends it and fails if a process of it is left."""

    def __init__(self, data_dir: Path, env: Mapping[str, str]) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = data_dir.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: list[int] = []
        inherited = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
        defaults = {s.name: "" for s in SETTINGS if s.default in ("", [])}
        own = {"PORT": str(self.port), "FASTGRAPH_DATA_DIR": str(data_dir)}
        self.env = {**inherited, **defaults, "FASTGRAPH_LEASE_SECONDS": "2", **own, **env}

    def provide_tables(self) -> None:
        """Makes the tables, as `migrate` would, from the template of the session."""
        provide_tables(self.env)

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a management command of this installation to its end."""
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=BASE_DIR, env=self.env, capture_output=True, text=True, timeout=60
        )

    def start(self, *arguments: str) -> None:
        """Starts `serve` with `arguments`; returns when its health check says that it is well."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "serve", *arguments],
                cwd=BASE_DIR,
                env=self.env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._groups.append(self._process.pid)
        wait_until(f"{self.url} is well", self._is_well, START_SECONDS)

    @property
    def pid(self) -> int:
        """The process that `serve` was started as."""
        assert self._process is not None, "start() was not called"
        return self._process.pid

    def stop(self, sent: signal.Signals = signal.SIGTERM) -> int:
        """Sends `sent` to the main process and returns its exit code."""
        assert self._process is not None, "start() was not called"
        self._process.send_signal(sent)
        return self._process.wait(STOP_SECONDS)

    def processes(self) -> dict[int, str]:
        """Pid and command of every living process that `serve` and its children are."""
        table = subprocess.run(
            ["ps", "-A", "-ww", "-o", "pid=,pgid=,stat=,command="],
            capture_output=True,
            text=True,
            check=True,
        )
        rows = (line.split(None, 3) for line in table.stdout.splitlines())
        return {
            int(row[0]): row[3]
            for row in rows
            if len(row) == 4 and int(row[1]) in self._groups and not row[2].startswith("Z")
        }

    def log(self) -> str:
        """All that the processes printed."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def close(self) -> None:
        """Stops what runs and fails if a process is left, which is then killed."""
        if self._process is not None and self._process.poll() is None:
            self.stop()
        try:
            wait_until("no process is left", lambda: not self.processes(), STOP_SECONDS)
        finally:
            for pid in self.processes():
                os.kill(pid, signal.SIGKILL)

    def _is_well(self) -> bool:
        assert self._process is not None
        code = self._process.poll()
        assert code is None, f"serve ended with {code}:\n{self.log()[-4000:]}"
        try:
            return httpx.get(f"{self.url}/api/health", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def serving(
    folder: Path, *arguments: str, env: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Server]:
    """A running server with a database of its own and its data in `folder`; `arguments` are for
    `manage.py serve`, `env` for its environment."""
    with own_database() as url:
        server = Server(folder / "data", {"DATABASE_URL": url, **env})
        try:
            server.provide_tables()
            server.start(*arguments)
            yield server
        finally:
            server.close()
