"""The analysis that the bundled workflows do: pure functions from text to values, which know
nothing of graphs, runs or Django."""
