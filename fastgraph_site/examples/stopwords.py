"""English words that say nothing about what a text is about."""

from __future__ import annotations

_TEXT = """
a able about above across actually after again against ago ah all almost alone along already also
although always am among an and another any anybody anyone anything anywhere are aren't around as
ask asked at away back be became because become becomes been before began begin behind being below
beside besides best better between beyond both bring brought but by call called came can can't
cannot certain certainly come comes coming could couldn't dear did didn't different do does doesn't
doing don't done down during each either else enough etc even ever every everybody everyone
everything everywhere exactly except far felt few find first for found from further gave get gets
getting give given go goes going gone good got great had hadn't half hardly has hasn't have haven't
having he he'd he'll he's hence her here here's hers herself him himself his how however i i'd i'll
i'm i've if in indeed instead into is isn't it it'd it'll it's its itself just keep kept kind knew
know known large last later least left less let let's like likely little long look looked looking
lot made make makes making many may maybe me mean means might mine more moreover most much must
mustn't my myself near nearly need never new next no nobody none nor not nothing now nowhere o'clock
of off often oh old on once one one's ones only onto or other others otherwise ought our ours
ourselves out over own part perhaps place please put quite rather really right round said same saw
say saying says see seem seemed seems seen shall shan't she she'd she'll she's should shouldn't
since small so some somebody someone something sometimes somewhere soon sort still such sure take
taken tell than that that'll that's the their theirs them themselves then there there's therefore
these they they'd they'll they're they've thing things think this those though thought through thus
till to together told too took toward towards tried try two under unless until up upon us use used
using usually very want wanted was wasn't way we we'd we'll we're we've well went were weren't what
what's whatever when whenever where where's whether which while who who'd who'll who's whole whom
whose why will with within without won't would wouldn't yes yet you you'd you'll you're you've your
yours yourself yourselves
"""

STOPWORDS = frozenset(_TEXT.split())
