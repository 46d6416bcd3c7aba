"""From win rates to thresholds, multipliers and row weights, before any training."""
