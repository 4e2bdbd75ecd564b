"""The gates of `make test`: `python -m tests.gates` runs them all and prints a table."""
