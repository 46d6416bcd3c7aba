"""What libraries say to each other, kept from the user at the very calls that make them say it."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def while_adapting() -> Iterator[None]:
    """Around calls of peft 0.21, which asks transformers 5 for a property by its old name."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning
        )
        yield


@contextmanager
def while_rotating() -> Iterator[None]:
    """Around what writes a checkpoint: two of them within a second are ordered by their step, which nobody need be told."""
    log = logging.getLogger("transformers.trainer_utils")

    def other(record: logging.LogRecord) -> bool:
        return "mtime may not be reliable" not in record.getMessage()

    log.addFilter(other)
    try:
        yield
    finally:
        log.removeFilter(other)


@contextmanager
def while_asking() -> Iterator[None]:
    """Around a question to the hub: what is thrown at each of five tries is told once, at the end."""
    log = logging.getLogger("huggingface_hub")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
