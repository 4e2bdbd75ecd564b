"""Django's backend for SQLite, on a file that is watched (`runs.db.sqlite3.database_file`)."""
