"""What a superstep means: plan, update and restore, as pure functions over data."""
