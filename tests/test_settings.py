"""The settings table in the documentation is the one in the code."""

from __future__ import annotations

from pathlib import Path

from fastgraph_site.environment import BASE_DIR, SETTINGS, type_names

TABLE = BASE_DIR / "docs" / "settings.md"


def _documented(page: Path) -> list[tuple[str, ...]]:
    rows = [line for line in page.read_text().splitlines() if line.startswith("| `")]
    return [tuple(cell.strip() for cell in row.strip("|").split(" | ")) for row in rows]


def _shown(default: object) -> str:
    return f"`{default}`" if default not in ("", []) else "empty"


def test_every_setting_is_documented_as_it_is() -> None:
    code = [(f"`{s.name}`", type_names[s.kind], _shown(s.default), s.help) for s in SETTINGS]
    assert _documented(TABLE) == code


def test_tests_do_not_write_into_the_source_tree() -> None:
    from django.conf import settings

    assert not settings.DATA_DIR.is_relative_to(BASE_DIR)
