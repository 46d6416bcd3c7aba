"""Pages that answer to a pointer, whole in one file: a template, its scripts, its data."""
