"""The spoken syllables of an English word, estimated from its spelling."""

from __future__ import annotations

import re

_VOWELS = re.compile(r"[aeiouy]+")

#: A vowel that is written and not spoken.
_SILENT = re.compile(
    r"(?<=[^aeiouylr])e$|(?<=[aeiouyr]l)e$|(?<=[aeiou]r)e$"  # made, whale, here; not table, centre
    r"|(?<=[^aeiouytd])ed$"  # walked; not wanted, hurried
    r"|(?<=[aeiouyr][bdfkmnptv])es$|(?<=[aeiou][lr])es$|(?<=lves)$"  # names, rules; not faces
    r"|(?<=[aeiou][bcdfgklmnprstv])e(?=(?:ly|ful|less|ment|where|thing|times?|one|body)$)"
    r"|(?<=^ev)e(?=ry)|(?<=^bus)i(?=ness)|(?<=war)e(?=house)"
)

#: Two vowels in a row that are spoken as two.
_SPLIT = re.compile(
    r"(?<![ctgs])ia(?!l|ge$)|(?<=[rdn])ial|^gian"  # piano, material; not nation, special
    r"|(?<=[dhmrv])io(?=us|d|$)|^[lr]io|(?<=mp)ion|iu"  # serious, radio, lion, champion
    r"|(?<=[dl])ie(?=t|n[tc])|(?<=[iq]u)ie|(?<=c)ie(?=ty)|^scien"  # client, quiet, society
    r"|(?<![qg])ua(?!r|d)|(?<=[lr])ui(?=[nd])|(?<=s)ui(?=c)"  # actual, ruin; not guard
    r"|eat[ei]|eact|eali|eum|(?<=[iard])ea(?=s?$)|(?<=th)e[ao](?=[rt])"  # create, idea, theory
    r"|aive|(?<=[pn])oe[mt]|oo(?=rd|pe)|(?<=[aeiouy])ing$|[st]hm$|sm$"  # poet, going, rhythm
)

#: What follows an apostrophe and adds no syllable: "don't", "she'll".
_CLITICS = frozenset({"s", "t", "d", "ll", "m", "re", "ve"})


def syllables(word: str) -> int:
    """The syllables of `word`, at least 1: groups of vowels, less the silent ones, more where two
    vowels are two. Numbers and words of other scripts count 1. Parts of "well-known" count each."""
    parts = [part for part in re.split(r"[-'\u2019]", word.lower()) if part]
    spoken = [part for index, part in enumerate(parts) if not (index and part in _CLITICS)]
    return max(1, sum(_syllables(part) for part in spoken))


def _syllables(part: str) -> int:
    letters = re.sub(r"[^a-z]", "", part)
    count = len(_VOWELS.findall(letters))
    return max(1, count - len(_SILENT.findall(letters)) + len(_SPLIT.findall(letters)))
