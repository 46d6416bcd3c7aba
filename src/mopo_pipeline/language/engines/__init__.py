"""What draws answers from a model: transformers in this process, vLLM on a GPU or on a Ray cluster, or an address that serves it."""
