"""The ASGI application: what a request passes on its way, and Django behind it."""
