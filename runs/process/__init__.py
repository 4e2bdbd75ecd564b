"""Facts of this process, and its threads."""
