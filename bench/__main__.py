"""`python -m bench NAME …`: run the measurement in `bench/NAME.py`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    folder = Path(__file__).parent
    names = sorted(p.stem for p in folder.glob("*.py") if "\ndef main(" in p.read_text())
    names.remove("__main__")
    if not arguments or arguments[0] not in names:
        print(f"Say what to measure: python -m bench {'|'.join(names)}")
        return 2
    return int(importlib.import_module(f"bench.{arguments[0]}").main(arguments[1:]) or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
