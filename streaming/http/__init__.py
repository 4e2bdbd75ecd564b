"""The HTTP streams and long polls: bare ASGI handlers over the hub."""
