"""How many threads a model's arithmetic is worth: on small tensors they wait for each other, beside other jobs for long."""

import os
from functools import cache

TINY, SMALL = 100_000, 10_000_000
"""Parameters below which one thread is used, and below which at most two: more of them wait longer than they compute."""

SPINS = "1000"
"""Rounds (some microseconds) a thread looks for work before it sleeps. With OpenMP's own 300,000 a step beside two busy
processes takes twice as long as with one thread; with so few it takes no longer, and two thirds to four fifths on an idle machine."""


def wait_briefly() -> None:
    """Let idle threads go to sleep soon, unless the user's environment says how they wait; before torch is imported."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def use_threads_for(parameters: int) -> None:
    """Let torch compute with as many threads as a model of this size is worth, never more than it takes by itself.

    Args:
        parameters: of the model worked with from here on.
    """
    import torch

    own = _own_choice()
    most = 1 if parameters < TINY else 2 if parameters < SMALL else own
    torch.set_num_threads(min(most, own))


@cache
def _own_choice() -> int:
    import torch

    return torch.get_num_threads()
