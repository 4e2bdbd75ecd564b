"""The ports of the journal, durability, and the journal in memory."""
