"""Where prompts, responses and labels come from; one module per kind of source."""
