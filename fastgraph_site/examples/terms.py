"""The key terms of an English text, by RAKE (rapid automatic keyword extraction) with counts.

Candidates are the longest runs of words between stop words and punctuation. A word is worth its
degree (how many words it stands beside in candidates, itself included) over its frequency, so that
parts of phrases weigh more than loose words; a term is worth the sum over its words, times how
often it occurs. Without that last factor, which RAKE lacks, a book chapter gives its oddest
adjectives rather than what it is about.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TypedDict

from fastgraph_site.examples.stopwords import STOPWORDS
from fastgraph_site.examples.text import words

MAX_WORDS = 3

_CLAUSE = re.compile(r"[^\w\s'\u2019\-]+|--+|\s[-'\u2019]+|(?<![-'\u2019])[-'\u2019]+\s")


class Term(TypedDict):
    """A word or phrase as it is written most often, how often it occurs, and its score; the best
    term has 100."""

    term: str
    count: int
    score: float


def key_terms(text: list[list[str]], limit: int = 12) -> list[Term]:
    """The best `limit` terms of a text that `text.paragraphs` took apart, best first. A phrase
    counts when it occurs twice, or when hardly anything does (a short text)."""
    spellings: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for candidate in _candidates(text):
        spellings[tuple(_fold(word) for word in candidate)][" ".join(candidate)] += 1
    counts = {key: sum(written.values()) for key, written in spellings.items()}
    scores = _scores(counts)
    least = 2 if sum(1 for key in counts if counts[key] > 1) >= limit else 1
    ranked = sorted(
        (key for key in counts if counts[key] >= least), key=lambda key: (-scores[key], key)
    )
    chosen = _without_parts(ranked, counts, limit)
    best = scores[chosen[0]] if chosen else 1.0
    return [
        Term(
            term=_spelling(spellings[key]),
            count=counts[key],
            score=round(100 * scores[key] / best, 1),
        )
        for key in chosen
    ]


def _candidates(text: list[list[str]]) -> Iterator[list[str]]:
    for paragraph in text:
        for sentence in paragraph:
            for clause in _CLAUSE.split(sentence):
                yield from _runs(words(clause))


def _runs(clause: list[str]) -> Iterator[list[str]]:
    """Runs of words that may be a term; longer ones than MAX_WORDS are prose, taken singly."""
    run: list[str] = []
    for word in [*clause, ""]:
        if word and _fold(word) not in STOPWORDS and len(word) > 1 and not word.isnumeric():
            run.append(word)
            continue
        if len(run) <= MAX_WORDS:
            yield from [run] if run else []
        else:
            yield from ([single] for single in run)
        run = []


def _scores(counts: dict[tuple[str, ...], int]) -> dict[tuple[str, ...], float]:
    frequency: Counter[str] = Counter()
    degree: Counter[str] = Counter()
    for key, count in counts.items():
        for word in key:
            frequency[word] += count
            degree[word] += count * len(key)
    return {
        key: count * sum(degree[word] / frequency[word] for word in key)
        for key, count in counts.items()
    }


def _without_parts(
    ranked: list[tuple[str, ...]], counts: dict[tuple[str, ...], int], limit: int
) -> list[tuple[str, ...]]:
    """The first `limit` that say something new: not a word of a better phrase that is about as
    frequent as it ("rabbit" beside "white rabbit")."""
    chosen: list[tuple[str, ...]] = []
    for key in ranked:
        covered = any(
            set(key) < set(other) and counts[key] <= 2 * counts[other] for other in chosen
        )
        if not covered:
            chosen.append(key)
        if len(chosen) == limit:
            break
    return chosen


def _fold(word: str) -> str:
    return word.casefold().replace("\u2019", "'").removesuffix("'s")


def _spelling(written: Counter[str]) -> str:
    """The usual spelling; a possessive that is the only one loses its ending."""
    best = max(written, key=lambda text: (written[text], text))
    return re.sub(r"['\u2019]s$", "", best)
