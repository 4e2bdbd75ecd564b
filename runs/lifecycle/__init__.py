"""The life of a run: every legal change of its status, its numbered events, and who is notified."""
