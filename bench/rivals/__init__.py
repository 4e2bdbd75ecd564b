"""What a user would pick instead, beside ours and in the same run: `python -m bench rivals
[sqlite|postgres] [w1 …]`. Each rival lives in an environment of its own, below `.bench/`."""

from __future__ import annotations


def main(arguments: list[str]) -> int:
    from bench.rivals.comparison import main as compare  # not for the rivals' own processes

    return compare(arguments)
