"""The WebSockets: a run's events, the feed, and the commands of a client."""
