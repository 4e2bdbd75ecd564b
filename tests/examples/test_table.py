"""Reading and profiling CSV, against values worked out by hand, and against any text at all."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastgraph_site.examples import chart, table
from fastgraph_site.examples.profile import Profile, profile, quantile
from fastgraph_site.examples.table import TableError
from fastgraph_site.examples.values import infer


def columns(text: str) -> dict[str, list[str]]:
    return {column.name: column.values for column in table.read(text).columns}


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1;2,3|4\n", ","),
        ("a;b\n1,5;2,5\n3,5;4,5\n", ";"),
        ("name\tsaid\nAnn\tyes, but\nBob\tno\n", "\t"),
        ("a|b|c\n1,0|2|3\n", "|"),
        ('a,b\n"1;2;3","4;5;6"\n', ","),
        ("a\n1\n2\n", ","),
        ("a;b;c\n1;2\n3;4;5\n6;7;8\n", ";"),
    ],
)
def test_the_delimiter_is_found(text: str, delimiter: str) -> None:
    assert table.sniff(text) == delimiter


def test_quotes_hold_delimiters_and_line_breaks() -> None:
    assert columns('a,b\n"x, ""y""","1\n2"\n') == {"a": ['x, "y"'], "b": ["1\n2"]}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        (" \n\n", "empty"),
        ("\ufeff", "empty"),
        (",,\n", "empty"),
        ("a\0b", "NUL"),
        (",".join("abcdefghij" * 51), "510 columns"),
        ('a,b\n1,"' + "x" * (2**20 + 1), "longer than 1 MiB"),
    ],
)
def test_what_is_no_table_is_told_why(text: str, says: str) -> None:
    with pytest.raises(TableError, match=says):
        table.read(text)


@pytest.mark.parametrize(
    ("text", "expected", "note"),
    [
        ("\ufeffa,b\n1,2\n", {"a": ["1"], "b": ["2"]}, "byte order mark"),
        ("a,a,a\n1,2,3\n", {"a": ["1"], "a (2)": ["2"], "a (3)": ["3"]}, "2 columns repeat"),
        ("a,a (2),a\n1,2,3\n", {"a": ["1"], "a (2)": ["2"], "a (3)": ["3"]}, "1 column repeats"),
        ("a,,c\n1,2,3\n", {"a": ["1"], "column 2": ["2"], "c": ["3"]}, "1 column has no name"),
        ("a,b\n1\n2,3\n", {"a": ["1", "2"], "b": ["", "3"]}, "1 row is short"),
        ("a,b\n1,2,3\n4,5,6\n", {"a": ["1", "4"], "b": ["2", "5"]}, "2 rows have more fields"),
        ("a,b\n", {"a": [], "b": []}, "no rows below the header"),
        ("1,2\n3,4\n", {"1": ["3"], "2": ["4"]}, "looks like data"),
        ('a,b\n"1"x,2\n', {"a": ["1x"], "b": ["2"]}, "Quotation marks near line 2"),
    ],
)
def test_what_can_be_mended_is_mended_and_noted(
    text: str, expected: dict[str, list[str]], note: str
) -> None:
    assert columns(text) == expected
    assert [note in each for each in table.read(text).notes] == [True]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end(ending: str) -> None:
    assert columns(f"a,b{ending}1,2{ending}{ending}3,4") == {"a": ["1", "3"], "b": ["2", "4"]}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("é".encode(), "é"),
        ("é".encode("utf-8-sig"), "é"),
        ("é".encode("utf-16"), "é"),
        ("é€".encode("cp1252"), "é€"),
        (b"\x81", "\ufffd"),
    ],
)
def test_encodings(data: bytes, text: str) -> None:
    assert table.decode(data) == text


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([], "empty"),
        (["true", "FALSE"], "boolean"),
        (["yes", "no", "Yes"], "boolean"),
        (["yes", "true"], "text"),
        (["0", "1"], "integer"),
        (["-3", "+4", "12"], "integer"),
        (["1,234", "5"], "integer"),
        (["007"], "text"),
        (["9" * 18], "integer"),
        (["9" * 40], "text"),
        (["1", "2.5"], "number"),
        (["1e3", ".5", "5."], "number"),
        (["1e999"], "text"),
        (["inf"], "text"),
        (["1_000"], "text"),
        (["2024-02-29", "2024-03-01"], "date"),
        (["2023-02-29"], "text"),
        (["31.12.2024"], "date"),
        (["12/31/2024", "1/2/2024"], "date"),
        (["31/12/2024", "1/2/2024"], "date"),
        (["2024-01-01T10:00:00Z", "2024-01-01 10:00"], "datetime"),
        (["0001-01-01T00:00:00+14:00"], "text"),
        (["Oslo", "1"], "text"),
    ],
)
def test_types(values: list[str], kind: str) -> None:
    assert infer(values)[0] == kind


def test_a_comma_may_be_the_decimal_mark() -> None:
    assert infer(["3,14", "1.5", "2"], decimal=",") == ("number", [3.14, 1.5, 2.0])
    assert infer(["1,234.5", "2"], decimal=".") == ("number", [1234.5, 2.0])
    assert table.read("a;b\n1,5;2\n").decimal == ","


@pytest.mark.parametrize(
    ("share", "value"), [(0, 1), (0.25, 1.75), (0.5, 2.5), (0.75, 3.25), (0.95, 3.85), (1, 4)]
)
def test_quantiles_interpolate(share: float, value: float) -> None:
    assert quantile([1, 2, 3, 4], share) == pytest.approx(value)


def test_a_column_of_numbers_by_hand() -> None:
    found = profile("n", ["4", "1", "", "3", "2", "NA"])
    assert (found["type"], found["count"], found["missing"], found["distinct"]) == (
        "integer", 4, 2, 4,
    )  # fmt: skip
    assert (found["min"], found["max"], found["mean"]) == (1, 4, 2.5)
    assert found["deviation"] == pytest.approx(1.25**0.5)
    assert found["quantiles"] == {"p05": 1.15, "p25": 1.75, "p50": 2.5, "p75": 3.25, "p95": 3.85}
    assert [each["count"] for each in found["histogram"]] == [1, 1, 1, 1]


def test_a_histogram_by_hand() -> None:
    found = profile("n", [str(value) for value in range(120)])["histogram"]
    assert [each["count"] for each in found] == [10] * 12
    assert (found[0]["low"], found[-1]["high"]) == (0.0, 119.0)


def test_a_column_of_text_by_hand() -> None:
    found = profile("t", ["a", "bbb", "a", " ", "none", "x" * 100])
    assert (found["type"], found["missing"], found["distinct"]) == ("text", 2, 3)
    assert found["lengths"] == [1, 26.25, 100]
    assert found["top"][0] == {"value": "a", "count": 2}
    assert found["top"][2] == {"value": "x" * 79 + "…", "count": 1}


def test_dates_by_hand() -> None:
    found = profile("d", ["2024-03-01", "2024-02-28", "2024-02-29"])
    assert (found["type"], found["min"], found["max"]) == ("date", "2024-02-28", "2024-03-01")
    assert [(each["low"], each["count"]) for each in found["histogram"]] == [
        ("2024-02-28", 1), ("2024-02-29", 1), ("2024-03-01", 1),
    ]  # fmt: skip


def test_times_of_several_zones_are_compared() -> None:
    found = profile("d", ["2024-01-01T12:00:00+02:00", "2024-01-01T11:00:00Z"])
    assert (found["min"], found["max"]) == ("2024-01-01T10:00:00Z", "2024-01-01T11:00:00Z")


@pytest.mark.timeout(60)  # each takes well under a second; with a square in it, many minutes
@pytest.mark.parametrize(
    "value",
    ["9" * 2**20, "." * 2**20, "1" + ",111" * 2**18, "0." + "1" * 2**20, "-" * 2**20],
    ids=lambda value: value[:6],
)
def test_long_values_take_no_longer_than_their_length(value: str) -> None:
    assert profile("n", [value])["count"] == 1


def parsed(profiles: list[Profile], rows: int) -> ET.Element:
    return ET.fromstring(chart.svg(profiles, rows=rows))


def test_the_chart_escapes_what_it_is_given() -> None:
    name = '<script>alert("1")</script>&\x01\ud800'
    root = parsed([profile(name, [name, "b"])], 2)
    assert not [each for each in root.iter() if each.tag.endswith("script")]
    shown = [each.text for each in root.iter() if each.text]
    assert '<script>alert("1")</script>&\ufffd\ufffd' in [*shown, *root.itertext()]


def test_the_chart_draws_a_bar_a_bin() -> None:
    root = parsed([profile("n", [str(value) for value in range(120)])], 120)
    bars = [each for each in root.iter() if each.get("class") == "bar"]
    assert [bar.get("height") for bar in bars] == ["70.0"] * 12


def test_the_chart_of_very_many_columns_stays_small() -> None:
    root = parsed([profile(f"c{index}", ["1"]) for index in range(100)], 1)
    assert len([each for each in root.iter() if each.get("class") == "card"]) == chart.MAX_CARDS
    assert "and 40 more columns" in "".join(root.itertext())


@pytest.mark.parametrize(
    ("value", "says"),
    [(0.0, "0"), (1234567.0, "1,234,567"), (1234.5678, "1,234.57"), (0.12345678, "0.1235"),
     (1.5e15, "1.5e+15"), (-42.0, "-42"), (1e300, "1e+300")],
)  # fmt: skip
def test_numbers_for_people(value: float, says: str) -> None:
    assert chart.number(value) == says


CELLS = st.one_of(
    st.text(max_size=8),
    st.integers().map(str),
    st.floats().map(str),
    st.datetimes().map(str),
    st.dates().map(str),
    st.sampled_from(["", "NA", "true", "no", '"', "1,5", "0001-01-01T00:00+10:00"]),
)
TABLES = st.lists(st.lists(CELLS, max_size=4).map(",".join), max_size=6).map("\n".join)


@given(st.one_of(st.text(), TABLES))
@example("a\n1e308\n-1e308\n1e308\n")
@example("a\n5e-324\n0\n")
@example("a\n9999-12-31T23:59:59.999999\n0001-01-01T00:00:00\n")
@example("a\n9999-12-31\n9999-12-30\n")
def test_any_text_is_profiled_or_refused_clearly(text: str) -> None:
    try:
        found = table.read(text)
    except TableError:
        return
    profiles = [profile(each.name, each.values, decimal=found.decimal) for each in found.columns]
    json.dumps(profiles, allow_nan=False)
    parsed(profiles, found.rows)
    for each in profiles:
        assert each["count"] + each["missing"] == found.rows
        if each["histogram"]:
            assert sum(bar["count"] for bar in each["histogram"]) == each["count"]
