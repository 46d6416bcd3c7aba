"""One solver per form of the problem, and what they share."""
