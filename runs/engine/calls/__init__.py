"""How a compiled graph is called: invoke, stream, get_state, update_state."""
