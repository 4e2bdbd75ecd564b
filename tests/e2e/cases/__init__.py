"""An app with workflows for the tests of the dashboard."""

GATES = "E2E_GATES"
RTL = "\u05e2\u05d1\u05d5\u05d3\u05d4 \u05d0\u05e8\u05d5\u05db\u05d4"
LONG = "a_workflow_with_a_name_that_is_much_longer_than_any_column_is_wide_" * 2
