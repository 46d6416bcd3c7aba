"""What an interval says of a threshold, in words that are the same everywhere."""

import math

from mopo_pipeline.errors import InputError

HELD = "held"
HELD_WITHIN_NOISE = "held, within noise"
MISSED_WITHIN_NOISE = "missed, within noise"
MISSED = "missed"
UNDECIDED = "undecided"
VERDICTS = (HELD, HELD_WITHIN_NOISE, MISSED_WITHIN_NOISE, MISSED)
"""The four verdicts, best first; ``UNDECIDED`` stands where an interval is unknown."""


def verdict(value: float, low: float, high: float, threshold: float) -> str:
    """One of the four verdicts on a value with its interval, or undecided where one is unknown.

    ``held``: low >= threshold; ``held, within noise``: value >= threshold > low; ``missed, within
    noise``: value < threshold <= high; ``missed``: high < threshold.

    Args:
        value: estimate, compared with the threshold on the same scale.
        low: lower end of its interval, at most the value.
        high: upper end, at least the value.
        threshold: least acceptable value.

    Raises:
        InputError: the value lies outside its own interval.

    >>> [verdict(0.52, 0.52 - e, 0.52 + e, 0.5) for e in (0.01, 0.05)]
    ['held', 'held, within noise']
    >>> [verdict(0.48, 0.48 - e, 0.48 + e, 0.5) for e in (0.05, 0.01)]
    ['missed, within noise', 'missed']
    >>> verdict(0.52, float("nan"), float("nan"), 0.5)
    'undecided'
    """
    if any(math.isnan(number) for number in (value, low, high, threshold)):
        return UNDECIDED
    if not low <= value <= high:
        raise InputError(
            f"a verdict needs low <= value <= high, got low {low}, value {value}, high {high}: "
            "check the order of the arguments"
        )
    if value >= threshold:
        return HELD if low >= threshold else HELD_WITHIN_NOISE
    return MISSED_WITHIN_NOISE if high >= threshold else MISSED


def qualified(said: str, doubt: str) -> str:
    """A verdict with what makes its judge doubtful, if anything does.

    >>> qualified("held", "judge right in 17% of 8 comparisons")
    'held (judge right in 17% of 8 comparisons)'
    """
    return f"{said} ({doubt})" if said and doubt else said


def capitalised(text: str) -> str:
    """The begin of a sentence; names within it stay as they are written.

    >>> capitalised("isHelpful beats BLEU")
    'IsHelpful beats BLEU'
    """
    return text[:1].upper() + text[1:]
