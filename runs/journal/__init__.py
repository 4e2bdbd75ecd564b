"""The durable journal: what the engine reports, committed in groups, and read back."""
