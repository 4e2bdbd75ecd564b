"""Measurements of the server: `python -m bench` prints a table."""
