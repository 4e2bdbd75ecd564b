"""SQL below the ORM, with one dialect for each kind of database."""
