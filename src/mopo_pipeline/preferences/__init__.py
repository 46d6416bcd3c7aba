"""From labels to comparisons to win rates."""
