"""The Markdown report of a text."""

from __future__ import annotations

import re

from fastgraph_site.examples.terms import Term
from fastgraph_site.examples.text import Counts, Readability

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!])")


def markdown(counts: Counts, scores: Readability, terms: list[Term]) -> str:
    """The report as Markdown that any renderer shows: what came from the text is escaped."""
    parts = [
        "# Text report\n",
        summary(counts, scores) + "\n",
        _counts(counts),
        _readability(scores),
    ]
    if terms:
        parts.append(_terms(terms))
    if counts["common_words"]:
        listed = ", ".join(
            f"{escape(each['word'])} ({each['count']})" for each in counts["common_words"]
        )
        parts.append(f"## Most frequent words\n\n{listed}\n")
    if counts["longest_sentence"]:
        parts.append(f"## Longest sentence\n\n> {escape(counts['longest_sentence'])}\n")
    return "\n".join(parts)


def summary(counts: Counts, scores: Readability) -> str:
    """The report in one paragraph, in Markdown."""
    if not counts["words"]:
        return "There are no words in this text."
    return (
        f"**{_many(counts['words'], 'word')}** in {_many(counts['sentences'], 'sentence')}, "
        f"about **{duration(counts['reading_seconds'])}** to read. "
        f"It reads as **{scores['level']}** "
        f"(Flesch reading ease {scores['flesch_reading_ease']:.1f})."
    )


def escape(text: str) -> str:
    """`text` so that Markdown shows it as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def duration(seconds: int) -> str:
    """Reading time for people: "under a minute", "1 minute", "1 h 5 min"."""
    minutes = round(seconds / 60)
    if seconds < 30:
        return "under a minute"
    if minutes <= 1:
        return "1 minute"
    if minutes < 60:
        return f"{minutes} minutes"
    return f"{minutes // 60} h {minutes % 60} min"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _table(title: str, head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    lines = [f"## {title}\n", f"| {head[0]} | {head[1]} |", "| --- | ---: |"]
    lines += [f"| {name} | {value} |" for name, value in rows]
    return "\n".join(lines) + "\n"


def _counts(counts: Counts) -> str:
    return _table(
        "Words and sentences",
        ("Measure", "Value"),
        [
            ("Characters", f"{counts['characters']:,}"),
            ("Words", f"{counts['words']:,}"),
            ("Different words", f"{counts['unique_words']:,}"),
            ("Sentences", f"{counts['sentences']:,}"),
            ("Paragraphs", f"{counts['paragraphs']:,}"),
            ("Words per sentence", f"{counts['words_per_sentence']:.1f}"),
        ],
    )


def _readability(scores: Readability) -> str:
    return _table(
        "Readability",
        ("Measure", "Value"),
        [
            ("Flesch reading ease (100 is easiest)", f"{scores['flesch_reading_ease']:.1f}"),
            ("Flesch-Kincaid grade", f"{scores['flesch_kincaid_grade']:.1f}"),
            ("Gunning fog index", f"{scores['gunning_fog']:.1f}"),
            ("Automated readability index", f"{scores['automated_readability']:.1f}"),
            ("Syllables per word", f"{scores['syllables_per_word']:.2f}"),
            ("Words of three syllables or more", f"{scores['complex_words']:,}"),
        ],
    )


def _terms(terms: list[Term]) -> str:
    rows = [f"| {escape(term['term'])} | {term['count']} | {term['score']:.0f} |" for term in terms]
    return "\n".join(
        ["## Key terms\n", "| Term | Times | Score |", "| --- | ---: | ---: |", *rows, ""]
    )
