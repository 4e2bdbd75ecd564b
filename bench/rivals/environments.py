"""An environment of its own for each rival, made once and kept below `.bench/`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fastgraph_site.environment import BASE_DIR

_FOLDER = BASE_DIR / ".bench"
_INSTALL_SECONDS = 300


class NotInstallable(Exception):
    """The packages cannot be had here; the message says what pip said last."""


def python(name: str) -> Path:
    """The Python that has what `<name>.txt` pins."""
    wanted = Path(__file__).with_name(f"{name}.txt")
    folder = _FOLDER / name
    stamp, interpreter = folder / "installed.txt", folder / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != wanted.read_text():
        print(f"Installing {wanted.name} into {folder.relative_to(BASE_DIR)} ...", file=sys.stderr)
        _do(sys.executable, "-m", "venv", "--clear", str(folder))
        _do(str(interpreter), "-m", "pip", "install", "--quiet", "-r", str(wanted))
        stamp.write_text(wanted.read_text())
    return interpreter


def _do(*command: str) -> None:
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=_INSTALL_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise NotInstallable(f"not installed within {_INSTALL_SECONDS} s") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise NotInstallable(f"not installable: {last[:200]}") from error
