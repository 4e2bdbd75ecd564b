"""One run in execution: the loop, the tasks of a superstep, retries, subgraphs."""
