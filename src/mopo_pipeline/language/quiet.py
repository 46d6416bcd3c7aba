"""What libraries say to each other, kept from the user at the very calls that make them say it."""

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
