"""The task whose truth is known."""
