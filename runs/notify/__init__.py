"""Notifications between processes: something was committed, look now."""
