"""Which of several policies to certify, by what was seen of each on validation prompts."""

from typing import NamedTuple

import numpy as np

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.labelled import Seen


class Weighed(NamedTuple):
    """What was seen of a policy, and what must be seen of one that a certificate can follow.

    Attributes:
        values: (K,) win rates on validation prompts, the primary first; NaN where nothing was seen.
        required: (K-1,) least values of the constrained objectives, thresholds with margins.
    """

    values: Array
    required: Array

    @property
    def shortfall(self) -> float:
        """The most a constrained value lacks, >= 0; infinite where one was not seen."""
        missing = self.required - self.values[1:]
        return float(np.where(np.isnan(missing), np.inf, missing).max(initial=0.0))


def weighed(seen: Seen, required: Array) -> Weighed:
    """What was seen beside what is required of it (K-1,); a value of fewer than two prompts is not seen: all of it may be chance."""
    return Weighed(np.where(seen.prompts >= 2, seen.values, np.nan), required)


def choose(seen: list[Weighed]) -> int:
    """The candidate with the best primary of those seen to hold every threshold, else that with the least shortfall.

    Args:
        seen: C >= 1 candidates; the first of equals is taken.

    >>> policy = Weighed(np.array([0.62, 0.44]), np.array([0.46]))
    >>> halves = [Weighed(np.array([p, c]), np.array([0.46])) for p, c in ((0.58, 0.46), (0.55, 0.48))]
    >>> choose([policy, *halves]), choose([policy])
    (1, 0)
    """
    shortfalls = np.array([candidate.shortfall for candidate in seen])
    if shortfalls.min() > 0.0:
        return int(shortfalls.argmin())
    holding = np.flatnonzero(shortfalls == 0.0)
    primary = np.array([seen[index].values[0] for index in holding])
    return int(holding[np.where(np.isnan(primary), -np.inf, primary).argmax()])
