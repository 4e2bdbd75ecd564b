"""The guard of database connections: what a call of user code may leave open on them."""
