"""Typed parameter groups, one module per pipeline; free of torch and Kedro."""
