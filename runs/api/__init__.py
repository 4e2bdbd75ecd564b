"""The REST API of runs, workflows and workers."""
