"""Counting English text: sentences, words, syllables, and the readability formulas over them.

Sentences and syllables are found by rule, not by dictionary: good for prose, an estimate for the
rest. The formulas are the published ones.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TypedDict

from fastgraph_site.examples.stopwords import STOPWORDS
from fastgraph_site.examples.syllables import syllables

WORDS_PER_MINUTE = 238  # silent reading of English prose, mean of 190 studies (Brysbaert 2019)

_WORD = re.compile(r"[^\W_]+(?:['\u2019\-][^\W_]+)*")
_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")
_BREAK = re.compile(r"(?<![.!?…])[.!?…]+[\"'”\u2019)\]»]*(?=\s|$)")
_NEXT = re.compile(r"\s*(\S)")
_DOTTED = re.compile(  # initials and abbreviations
    r"(?:^|[\s(\"“])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|Sr|Jr|St|Rev|Gen|Col|Capt|Lt|Sgt|Hon|vs|cf|etc|al|"
    r"approx|Fig|fig|No|Vol|vol|pp|ed|eds|Inc|Ltd|Co|Corp|e\.g|i\.e|a\.m|p\.m|U\.S|U\.K|"
    r"Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)\.$"
)
_LONGEST = 12  # characters: more than any of these with what stands before it


class WordCount(TypedDict):
    word: str
    count: int


class Counts(TypedDict):
    """What is in a text. `reading_seconds` is at 238 words a minute."""

    characters: int
    words: int
    unique_words: int
    sentences: int
    paragraphs: int
    words_per_sentence: float
    reading_seconds: int
    longest_sentence: str
    common_words: list[WordCount]


class Readability(TypedDict):
    """The published formulas; all grades are American school years. `level` says the Flesch reading
    ease in words. Zero words give zeros and the level "nothing to read"."""

    syllables: int
    syllables_per_word: float
    complex_words: int
    flesch_reading_ease: float
    flesch_kincaid_grade: float
    gunning_fog: float
    automated_readability: float
    level: str


def clean(text: str) -> str:
    """`text` with one kind of line end, without a byte order mark, and with words that were broken
    at the end of a line put together again."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"([a-z])-\n[ \t]*([a-z])", r"\1\2", text).strip()


def paragraphs(text: str) -> list[list[str]]:
    """The text as paragraphs of sentences: blank lines part paragraphs. Line breaks inside a
    sentence become spaces; paragraphs without a word are left out."""
    blocks = (" ".join(block.split()) for block in _PARAGRAPH.split(text))
    return [sentences(block) for block in blocks if _WORD.search(block)]


def sentences(paragraph: str) -> list[str]:
    """The sentences of one paragraph. A full stop after an initial or a usual abbreviation, or
    before a small letter, ends none. The time it takes grows with the length of the text alone."""
    found: list[str] = []
    start = looked = 0
    has_word = False
    for match in _BREAK.finditer(paragraph):
        end = match.end()
        has_word = has_word or bool(_WORD.search(paragraph, looked, end))
        looked = end
        following = _NEXT.match(paragraph, end)
        if not has_word or (following and following[1].islower()):
            continue
        if match.group() == "." and _DOTTED.search(paragraph[max(start, end - _LONGEST) : end]):
            continue
        found.append(paragraph[start:end].strip())
        start, has_word = end, False
    if has_word or _WORD.search(paragraph, looked):
        found.append(paragraph[start:].strip())
    return found


def words(text: str) -> list[str]:
    """The words and numbers of `text` in order, as they are written; "don't" and "well-known" are
    one word each."""
    return _WORD.findall(text)


def count(text: list[list[str]]) -> Counts:
    """The counts of a text that `paragraphs` took apart."""
    flat = [sentence for paragraph in text for sentence in paragraph]
    lengths = [len(words(sentence)) for sentence in flat]
    folded = [
        word.casefold().replace("\u2019", "'") for sentence in flat for word in words(sentence)
    ]
    common = Counter(word for word in folded if word not in STOPWORDS and not word.isnumeric())
    total = sum(lengths)
    return Counts(
        characters=sum(len(sentence) for sentence in flat),
        words=total,
        unique_words=len(set(folded)),
        sentences=len(flat),
        paragraphs=len(text),
        words_per_sentence=round(total / len(flat), 2) if flat else 0.0,
        reading_seconds=round(total / WORDS_PER_MINUTE * 60),
        longest_sentence=flat[lengths.index(max(lengths))] if flat else "",
        common_words=[WordCount(word=word, count=times) for word, times in common.most_common(10)],
    )


def readability(text: list[list[str]]) -> Readability:
    """The readability of a text that `paragraphs` took apart."""
    flat = [sentence for paragraph in text for sentence in paragraph]
    spoken = [word for sentence in flat for word in words(sentence)]
    if not spoken:
        return _nothing_to_read()
    known = {word: syllables(word) for word in set(spoken)}
    beats = [known[word] for word in spoken]
    hard = sum(1 for beat in beats if beat >= 3)
    length = len(spoken) / len(flat)
    per_word = sum(beats) / len(spoken)
    letters = sum(char.isalnum() for word in spoken for char in word) / len(spoken)
    ease = 206.835 - 1.015 * length - 84.6 * per_word
    return Readability(
        syllables=sum(beats),
        syllables_per_word=round(per_word, 2),
        complex_words=hard,
        flesch_reading_ease=round(ease, 1),
        flesch_kincaid_grade=round(0.39 * length + 11.8 * per_word - 15.59, 1),
        gunning_fog=round(0.4 * (length + 100 * hard / len(spoken)), 1),
        automated_readability=round(4.71 * letters + 0.5 * length - 21.43, 1),
        level=_level(ease),
    )


def _nothing_to_read() -> Readability:
    return Readability(
        syllables=0,
        syllables_per_word=0.0,
        complex_words=0,
        flesch_reading_ease=0.0,
        flesch_kincaid_grade=0.0,
        gunning_fog=0.0,
        automated_readability=0.0,
        level="nothing to read",
    )


def _level(ease: float) -> str:
    """Flesch's own bands."""
    bands = (
        (90, "very easy"),
        (80, "easy"),
        (70, "fairly easy"),
        (60, "plain English"),
        (50, "fairly difficult"),
        (30, "difficult"),
    )
    return next((name for least, name in bands if ease >= least), "very difficult")
