"""Django's backend for SQLite, on a file that is watched (`runs.database_file`)."""
