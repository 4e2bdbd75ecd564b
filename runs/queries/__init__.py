"""Everything that a caller may look at: events, summaries, why a run does not move."""
