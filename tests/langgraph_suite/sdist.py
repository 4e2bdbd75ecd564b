"""LangGraph's source distribution: fetched once by pip, and kept in an ignored folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from fastgraph_site.environment import BASE_DIR
from tests.support import needs

VERSION = "1.2.24"
KEPT = BASE_DIR / ".suites"
#: Seconds that fetching may take; pip builds the metadata of what it fetches.
PATIENCE = 240


def unpacked() -> Path:
    """The folder that has LangGraph's `tests`. `needs.Missing` where it cannot be fetched."""
    folder = KEPT / f"langgraph-{VERSION}"
    if not (folder / "tests").is_dir():
        _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    KEPT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=KEPT) as passing:
        archive = _download(Path(passing))
        with tarfile.open(archive) as packed:
            packed.extractall(passing, filter="data")
        # Only the tests: LangGraph itself beside them could be imported by mistake.
        tests = Path(passing) / folder.name / "tests"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        tests.rename(folder / "tests")


def _download(into: Path) -> Path:
    wanted = ("--no-deps", "--no-binary", ":all:", f"langgraph=={VERSION}")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(into), *wanted]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired as late:
        raise needs.Missing(f"pip did not fetch langgraph {VERSION} in {PATIENCE} s") from late
    found = sorted(into.glob("langgraph-*.tar.gz"))
    if done.returncode or not found:
        said = " ".join(done.stderr.split())[-300:]
        raise needs.Missing(f"pip cannot fetch the sdist of langgraph {VERSION}: {said}")
    return found[0]
