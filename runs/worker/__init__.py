"""The worker: it claims runs and executes many of them on one event loop."""
