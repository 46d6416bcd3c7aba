"""How many threads a model's arithmetic is worth: on small tensors they wait for each other, beside other jobs for long."""

from functools import cache

SMALL = 10_000_000
"""Parameters below which one thread is used: a quarter slower than two on an idle machine, several times faster beside other jobs."""


def use_threads_for(parameters: int) -> None:
    """Let torch compute with one thread for a small model, with as many as it takes by itself for others.

    Args:
        parameters: of the model worked with from here on.
    """
    import torch

    own = _own_choice()
    torch.set_num_threads(1 if parameters < SMALL else own)


@cache
def _own_choice() -> int:
    import torch

    return torch.get_num_threads()
