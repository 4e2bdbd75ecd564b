"""The threads, asyncio tasks and processes in which user code runs."""
