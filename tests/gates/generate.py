"""Rewrites every file that is derived from the code. `make generate` does it.

The files are the table of events in docs/streams.md, the API's schema in frontend/openapi.json, and
what the dashboard derives from that schema, its build included. Tests compare each with the code.
"""

from __future__ import annotations

import os
import subprocess
import sys

from fastgraph_site.environment import BASE_DIR
from runs.engine.events import KINDS, EventKind
from tests.gates import frontend
from tests.support import needs

STREAMS = BASE_DIR / "docs" / "streams.md"
BEGIN = "<!-- events: written by `make generate` -->\n"
END = "<!-- end of events -->\n"


def with_events(page: str) -> str:
    """`page` with the table of events of this code between its two marks."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    lines = ["| event | meaning | status | modes |", "| --- | --- | --- | --- |", *map(_row, KINDS)]
    return "".join((before, BEGIN, *(f"{line}\n" for line in lines), END, after))


def _row(kind: EventKind) -> str:
    status = f"`{kind.status}`" if kind.status else ""
    modes = ", ".join(f"`{mode}`" for mode in kind.modes)
    return f"| `{kind.name}` | {kind.meaning} | {status} | {modes} |"


def main() -> None:
    STREAMS.write_text(with_events(STREAMS.read_text()))
    schema = ("spectacular", "--format", "openapi-json", "--file", "frontend/openapi.json")
    subprocess.run([sys.executable, "manage.py", *schema], check=True)
    for task in ("schema", "build"):
        frontend.main(task)


if __name__ == "__main__":
    os.chdir(BASE_DIR)
    try:
        main()
    except (needs.Missing, subprocess.CalledProcessError) as error:
        sys.exit(str(error))
