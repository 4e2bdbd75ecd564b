"""`python -m bench NAME …`: run the measurement of that name in `bench/`; without one, all."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    names = _names()
    if arguments and arguments[0] not in names:
        print(f"Say what to measure: python -m bench {'|'.join(names)}")
        return 2
    code = 0
    for name in arguments[:1] or names:
        print(f"\n{name}\n" if not arguments else "", end="", flush=True)
        code = int(importlib.import_module(f"bench.{name}").main(arguments[1:]) or 0) or code
    return code


def _names() -> list[str]:
    folder = Path(__file__).parent
    files = [*folder.glob("*.py"), *folder.glob("*/__init__.py")]
    found = [path for path in files if "\ndef main(" in path.read_text()]
    names = {path.stem if path.stem != "__init__" else path.parent.name for path in found}
    return sorted(names - {"__main__"})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
