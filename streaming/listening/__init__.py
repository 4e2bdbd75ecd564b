"""How a process learns that something was committed, whoever committed it."""
