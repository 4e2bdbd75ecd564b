"""What must be true of the machine for artifacts to be stored, asked by `manage.py check`."""

from __future__ import annotations

import os
from typing import Any

from django.core.checks import CheckMessage, Error, register

from artifacts.store import store


@register()
def artifacts_folder_is_writable(**kwargs: Any) -> list[CheckMessage]:
    """artifacts.E001: a folder that another user made, a full copy from elsewhere, a file in its
    place. A folder that is not there yet is made on the first write."""
    root = store().root
    if not root.exists() or (root.is_dir() and os.access(root, os.R_OK | os.W_OK | os.X_OK)):
        return []
    return [
        Error(
            f"Artifacts cannot be stored in {root}.",
            hint="It must be a folder that the user who runs the server may write to.",
            id="artifacts.E001",
        )
    ]
