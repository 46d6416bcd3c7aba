"""Experiments on problems whose answers are known."""
