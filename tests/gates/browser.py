"""Puts a browser where one can be had: the installer step of the project's own test set-up."""

from __future__ import annotations

import os
import shutil
import subprocess

from tests.support import needs

STEPS = (
    ["apt-get", "update", "-qq"],
    ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"],
)


def provide() -> str:
    """The path of a Chromium. On Debian, as root, an absent one is installed; anywhere else that
    is left to the owner of the machine, and `needs.Missing` says so."""
    try:
        return needs.chromium()
    except needs.Missing:
        if not shutil.which("apt-get") or os.geteuid() != 0:
            raise
    for step in STEPS:
        done = subprocess.run(
            step,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise needs.Missing(f"no Chromium, and `{' '.join(step)}` failed: {reason}")
    return needs.chromium()
