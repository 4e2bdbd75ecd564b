"""How many connections there may be: by default many, and fewer where files may not be opened."""

from __future__ import annotations

import resource

import pytest

from fastgraph_site.environment import SETTINGS
from fastgraph_site.server.descriptors import OTHERS, allow_connections

WANTED = 10_000


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The limits of open files of this process, the present one and the highest."""
    found = [1024, 4096]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(found))
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: found.__setitem__(0, wanted[0]))
    return found


@pytest.mark.parametrize("name", ["FASTGRAPH_MAX_CONNECTIONS", "FASTGRAPH_MAX_WAITS"])
def test_by_default_more_than_5000_are_taken(name: str) -> None:
    (default,) = [setting.default for setting in SETTINGS if setting.name == name]
    assert isinstance(default, int) and default > 5000


@pytest.mark.parametrize("highest", [20_000, WANTED + OTHERS, resource.RLIM_INFINITY])
def test_the_limit_of_open_files_is_raised(
    limits: list[int], highest: int, caplog: pytest.LogCaptureFixture
) -> None:
    limits[1] = highest
    assert allow_connections(WANTED) == WANTED
    assert limits[0] == WANTED + OTHERS
    assert not caplog.records


@pytest.mark.parametrize("present", [20_000, resource.RLIM_INFINITY])
def test_a_limit_that_is_high_enough_stays(limits: list[int], present: int) -> None:
    limits[:] = [present, present]
    assert allow_connections(WANTED) == WANTED
    assert limits == [present, present]


@pytest.mark.parametrize(
    ("highest", "possible"), [(4096, 4096 - OTHERS), (256, 128), (1, 1)], ids=str
)
def test_where_it_cannot_be_raised_there_are_fewer_and_a_warning_says_what_to_do(
    limits: list[int], highest: int, possible: int, caplog: pytest.LogCaptureFixture
) -> None:
    limits[:] = [min(highest, 1024), highest]
    assert allow_connections(WANTED) == possible
    assert limits[0] == highest
    (warning,) = caplog.records
    assert warning.levelname == "WARNING"
    text = warning.getMessage()
    assert f"takes {possible} connections at the same time, and not {WANTED}" in text
    assert f"`ulimit -n {WANTED + OTHERS}`" in text
    assert f"LimitNOFILE={WANTED + OTHERS}" in text
    assert "FASTGRAPH_MAX_CONNECTIONS" in text


def test_a_system_that_refuses_its_own_limit_is_no_error(
    limits: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: int, wanted: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert allow_connections(WANTED) == 1024 - OTHERS
    assert len(caplog.records) == 1


def test_there_are_never_more_than_wanted(limits: list[int]) -> None:
    limits[:] = [256, 256]
    assert allow_connections(100) == 100
