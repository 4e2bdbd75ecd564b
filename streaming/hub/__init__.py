"""One hub a web process, between the event log and all who follow it."""
