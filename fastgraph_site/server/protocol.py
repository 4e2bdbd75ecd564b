"""What the supervisor and the web process agree on; apart from both, because to import either is
dear in the other."""

from __future__ import annotations

#: The servers that the web process can be.
SERVERS = ("uvicorn", "daphne")
#: Exit code of a web process that never came to serve.
NEVER_READY = 3
#: What lets a web process that has loaded everything serve: one byte on its standard input.
GO = b"g"
