"""LangGraph's own tests, run on this engine: `python -m tests.langgraph_suite`.

The tests come from the package registry when they are run; nothing of them is committed. What of
them is not for us is in `out_of_scope.txt`, what is known to fail in `expected_failures.txt`, each
with its reason. A test that fails and is not listed is an error, and so is one that is listed and
passes: `--update` corrects the list, and shows what it has changed.
"""
