"""The frozen graph: nodes, channels, types, and what is wrong with them before a run."""
