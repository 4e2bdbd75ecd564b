"""The picture of the floors in docs/architecture.md shows the contract, which the code keeps."""

from __future__ import annotations

import ast
import configparser
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "architecture.md"
LINTER = ROOT / ".importlinter"
#: The parts of the picture: the line before a part, and the package that it is about.
PARTS = {"apps": "", "runs-inside": "runs", "engine-inside": "runs.engine"}


def picture() -> list[list[str]]:
    """The lines of each part of the picture, without their explanations."""
    block = re.search(r"## The floors.*?```\n(.*?)```", DOCUMENT.read_text(), re.S)
    assert block, "docs/architecture.md has no picture"
    parts = re.split(r"\n\n", block[1].strip())
    return [[re.split(r"\s{2,}", line)[0] for line in part.splitlines()] for part in parts]


def contract(name: str) -> list[str]:
    config = configparser.ConfigParser()
    config.read(LINTER)
    return config[f"importlinter:contract:{name}"]["layers"].strip().splitlines()


def names_of(line: str) -> list[str]:
    return re.findall(r"\w+", line)


def imports_of(package: str) -> Iterator[tuple[str, str, str]]:
    """Every import inside `package`, as (importing child, imported child, where)."""
    folder = ROOT / package.replace(".", "/") if package else ROOT
    tops = ["fastgraph_site", "streaming", "artifacts", "runs"] if not package else [""]
    for top in tops:
        for path in sorted((folder / top).rglob("*.py")):
            own = path.relative_to(folder).with_suffix("").parts[0]
            for node in ast.walk(ast.parse(path.read_text())):
                for target in _targets(node):
                    parts = target.split(".")
                    depth = package.count(".") + 1 if package else 0
                    if package and not target.startswith(f"{package}."):
                        continue
                    if len(parts) > depth and parts[depth] != own and own != "__init__":
                        yield (
                            own,
                            parts[depth],
                            f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}",
                        )


def _targets(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


@pytest.mark.parametrize(("index", "name"), list(enumerate(PARTS)))
def test_picture_shows_the_layers_of_the_contract(index: int, name: str) -> None:
    drawn = [sorted(names_of(line)) for line in picture()[index]]
    assert drawn == [sorted(names_of(line)) for line in contract(name)]


@pytest.mark.parametrize(("index", "package"), list(enumerate(PARTS.values())))
def test_code_imports_only_what_is_drawn_below_it(index: int, package: str) -> None:
    floor = {
        name: (i, "|" in line) for i, line in enumerate(picture()[index]) for name in names_of(line)
    }
    wrong = set()
    for one, other, where in imports_of(package):
        if one in floor and other in floor:
            (mine, strict), (theirs, _) = floor[one], floor[other]
            if mine > theirs or (mine == theirs and strict):
                wrong.add(f"{where} imports {other}")
    assert wrong == set()


def test_every_file_that_a_walk_names_is_there() -> None:
    walks = DOCUMENT.read_text().partition("## Five walks")[2].partition("\n## ")[0]
    paths = re.findall(r"`((?:runs|streaming|fastgraph_site)/[\w/]+\.py)`", walks)
    assert paths
    assert [p for p in paths if not (ROOT / p).exists()] == []
