"""Everything that a caller may ask to change: create, replay, cancel, pause, resume, delete."""
