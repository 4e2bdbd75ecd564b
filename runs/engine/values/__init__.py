"""Values: which may be stored, how they are copied, taken apart and written."""
