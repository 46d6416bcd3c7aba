"""Language models: loading, log-probabilities, generation, training."""
