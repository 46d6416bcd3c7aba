"""How reference and thresholds move over a run."""
