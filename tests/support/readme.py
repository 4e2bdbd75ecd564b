"""The code blocks of README.md, so that tests can run what it tells its readers to run."""

from __future__ import annotations

import re

from fastgraph_site.environment import BASE_DIR


def block(heading: str, language: str, number: int = 0) -> str:
    """The code block of `language` (its first, or `number`th) in the section called `heading`."""
    text = (BASE_DIR / "README.md").read_text()
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return blocks[number]
