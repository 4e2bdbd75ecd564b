"""The admin of everything in the record. Rows that the journal owns are shown, never edited."""

from runs.admin import pauses, records, runs  # noqa: F401  they register their models
