"""The processes of `serve`: the supervisor, the web process, its server and its limits."""
