"""Tests leave no files behind: the source tree after them is the one before them."""

from __future__ import annotations

import subprocess
import sys

from fastgraph_site.environment import BASE_DIR


def state() -> str:
    """What git sees as changed or new; empty in a copy that git does not know."""
    status = ["git", "-C", str(BASE_DIR), "status", "--porcelain"]
    try:
        return subprocess.run(status, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    before, after = sys.argv[1], state()
    if before != after:
        sys.exit(f"The tests changed the source tree.\nBefore:\n{before}\nAfter:\n{after}")
