"""The analysis of `text_report`, against values worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgraph_site.examples import report, terms, text
from fastgraph_site.examples.syllables import syllables

# Six words and one sentence, then two words; syllables 1 1 1 1 1 1, 3 3.
SHORT = "The cat sat on the mat. Beautiful animal!"

CAROLL = """\
Alice was beginning to get very tired of sitting by her sister on the bank. So she was considering
whether the pleasure of making a daisy-chain would be worth the trouble of getting up, when suddenly
a White Rabbit with pink eyes ran close by her.

There was nothing so very remarkable in that; nor did Alice think it so very much out of the way to
hear the White Rabbit say to itself, "Oh dear! Oh dear! I shall be late!" But when the White Rabbit
actually took a watch out of its waistcoat-pocket, Alice started to her feet, for it flashed across
her mind that she had never before seen a rabbit with either a waistcoat-pocket, or a watch to take
out of it.
"""


def split(source: str) -> list[list[str]]:
    return text.paragraphs(text.clean(source))


@pytest.mark.parametrize(
    ("paragraph", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Mr. Smith met Dr. No. They left.", ["Mr. Smith met Dr. No. They left."]),
        ("J. R. R. Tolkien wrote. I read.", ["J. R. R. Tolkien wrote.", "I read."]),
        ("It cost 3.50 today. Fine.", ["It cost 3.50 today.", "Fine."]),
        ("Fruit, e.g. apples, is good. Eat.", ["Fruit, e.g. apples, is good.", "Eat."]),
        ('"Stop!" he said. "Why?"', ['"Stop!" he said.', '"Why?"']),
        ("Well... maybe. Yes.", ["Well... maybe.", "Yes."]),
        ("... ! ?", []),
        ("", []),
    ],
)
def test_sentences(paragraph: str, sentences: list[str]) -> None:
    assert text.sentences(paragraph) == sentences


def test_paragraphs_are_parted_by_blank_lines() -> None:
    assert split("\ufeffOne\r\nand on.\r\n \t\r\nTwo.\n\n***\n\nThree.") == [
        ["One and on."],
        ["Two."],
        ["Three."],
    ]


def test_words_broken_at_the_end_of_a_line_are_whole_again() -> None:
    assert split("An exam-\nple, well-known.") == [["An example, well-known."]]


def test_words() -> None:
    assert text.words("Don't stop: the well-known 3rd snake_case o\u2019clock --- 42!") == [
        "Don't", "stop", "the", "well-known", "3rd", "snake", "case", "o\u2019clock", "42",
    ]  # fmt: skip


def test_counts_by_hand() -> None:
    counts = text.count(split(SHORT))
    assert counts == {
        "characters": 40,
        "words": 8,
        "unique_words": 7,  # "The" and "the" are one
        "sentences": 2,
        "paragraphs": 1,
        "words_per_sentence": 4.0,
        "reading_seconds": 2,  # 8 / 238 of a minute
        "longest_sentence": "The cat sat on the mat.",
        "common_words": [
            {"word": word, "count": 1} for word in ("cat", "sat", "mat", "beautiful", "animal")
        ],
    }


def test_readability_by_hand() -> None:
    scores = text.readability(split(SHORT))
    assert scores["syllables"] == 12
    assert scores["complex_words"] == 2
    # 206.835 - 1.015 * 4 - 84.6 * 1.5; 0.39 * 4 + 11.8 * 1.5 - 15.59; 0.4 * (4 + 25)
    assert scores["flesch_reading_ease"] == 75.9
    assert scores["flesch_kincaid_grade"] == 3.7
    assert scores["gunning_fog"] == 11.6
    # 4.71 * 32 / 8 + 0.5 * 4 - 21.43
    assert scores["automated_readability"] == -0.6
    assert scores["level"] == "fairly easy"


def test_a_text_without_words() -> None:
    nothing = split("?!  \n\n 。")
    assert text.count(nothing)["words"] == 0
    assert text.readability(nothing)["level"] == "nothing to read"
    assert terms.key_terms(nothing) == []
    written = report.markdown(text.count(nothing), text.readability(nothing), [])
    assert "There are no words" in written


#: Not among the words that the rules were tuned on.
SPOKEN = {
    1: """
        cheese bread stone strength through whole phone nose shoes clothes jumped hoped liked
        baked
    """,
    2: """
        window pencil bottle garden kitchen morning painted landed bridges horses dishes watches
        nieces purple middle jungle candle circle gentle turtle safely peaceful basement useless
        dying flying drying lying freeing chaos duet nation mission precious
    """,
    3: """
        yesterday elephant banana tomato umbrella holiday hospital library telephone violin
        furious guardian stadium medium ideas areas created musical commercial
    """,
    4: """
        television alligator watermelon comedian aquarium
    """,
    5: """
        refrigerator imagination civilization vocabulary electricity
    """,
}


def test_syllables_of_words_that_the_rules_never_saw() -> None:
    known = {word: count for count, listed in SPOKEN.items() for word in listed.split()}
    right = sum(syllables(word) == count for word, count in known.items())
    assert right >= 0.9 * len(known)
    # What the formulas need is the mean: errors up and down must cancel.
    assert sum(map(syllables, known)) == pytest.approx(sum(known.values()), rel=0.03)


@pytest.mark.parametrize(
    ("word", "count"), [("don't", 1), ("she'll", 1), ("well-known", 2), ("42", 1), ("日本", 1)]
)
def test_syllables_of_odd_words(word: str, count: int) -> None:
    assert syllables(word) == count


def test_key_terms_prefer_what_a_text_is_about() -> None:
    found = terms.key_terms(split(CAROLL), limit=4)
    assert found[0] == {"term": "White Rabbit", "count": 3, "score": 100.0}
    assert "Alice" in [term["term"] for term in found]
    # "rabbit" alone says nothing new beside "White Rabbit".
    assert "rabbit" not in [term["term"].lower() for term in found]


def test_key_terms_by_hand() -> None:
    # Candidates: "red fox" twice and "fox" once; degree(red) = 4, frequency 2; degree(fox) = 5,
    # frequency 3. red fox: 2 * (4/2 + 5/3) = 22/3, fox: 1 * 5/3, and is a part of the former.
    found = terms.key_terms(split("The red fox. A red fox is the fox and a hen."))
    assert found == [
        {"term": "red fox", "count": 2, "score": 100.0},
        {"term": "hen", "count": 1, "score": 13.6},
    ]


def test_possessives_count_for_their_owner() -> None:
    assert terms.key_terms(split("Alice's. Alice\u2019s. Alice."))[0] == {
        "term": "Alice", "count": 3, "score": 100.0,
    }  # fmt: skip


def test_the_report_shows_text_as_it_is() -> None:
    parts = split("Buy <b>now</b> | *really* [click](http://x) `code` # one.")
    written = report.markdown(text.count(parts), text.readability(parts), terms.key_terms(parts))
    quote = next(line for line in written.splitlines() if line.startswith("> "))
    assert r"\<b\>now\</b\> \| \*really\* \[click\]" in quote
    assert "\n| Words | 10 |\n" in written
    assert "**10 words** in 1 sentence, about **under a minute** to read." in written


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (0, "under a minute"),
        (29, "under a minute"),
        (30, "1 minute"),
        (89, "1 minute"),
        (3590, "1 h 0 min"),
        (3900, "1 h 5 min"),
        (600, "10 minutes"),
    ],
)
def test_durations(seconds: int, says: str) -> None:
    assert report.duration(seconds) == says


@given(st.text())
def test_any_text_has_a_report(source: str) -> None:
    parts = split(source)
    counts = text.count(parts)
    assert counts["words"] >= counts["sentences"] >= counts["paragraphs"]
    report.markdown(counts, text.readability(parts), terms.key_terms(parts))


@pytest.mark.timeout(60)  # each takes well under a second; with a square in it, many minutes
@pytest.mark.parametrize(
    "source",
    [
        "Mr. " * 300_000,
        ". " * 300_000,
        "Stop. " * 150_000,
        "." * 300_000 + "x",
        "'" * 300_000 + "x",
        "-" * 300_000 + "x",
        "a" * 300_000,
        "a-" * 200_000,
        "\n \n" * 200_000,
        " " * 300_000 + "x",
        "a\n" + "\t" * 300_000 + "x",
    ],
    ids=lambda source: repr(source[:6]),
)
def test_the_time_grows_with_the_length_alone(source: str) -> None:
    parts = split(source)
    report.markdown(text.count(parts), text.readability(parts), terms.key_terms(parts))
