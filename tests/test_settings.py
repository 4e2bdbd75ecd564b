"""The settings table in the documentation is the one in the code."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from fastgraph_site.environment import BASE_DIR, SETTINGS, read, type_names

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


@pytest.mark.parametrize("name", [s.name for s in SETTINGS if s.kind in (int, float)])
@pytest.mark.parametrize("value", ["-1", "0"])
def test_number_that_is_too_small_is_refused_with_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    may_be_zero = name == "PORT" or name.endswith(("LINGER_SECONDS", "CANCEL_SECONDS"))
    if value == "0" and (may_be_zero or name.endswith("KEEP_ALIVE_SECONDS")):
        assert read()[name] == 0
        return
    with pytest.raises(ImproperlyConfigured, match=f"^{name} should be "):
        read()
