"""Four verdicts, the same everywhere."""

import numpy as np
import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.pareto.verdicts import UNDECIDED, VERDICTS, qualified, verdict


@pytest.mark.parametrize(
    ("value", "low", "high", "expected"),
    [
        (0.55, 0.51, 0.59, "held"),
        (0.55, 0.50, 0.60, "held"),
        (0.51, 0.49, 0.53, "held, within noise"),
        (0.50, 0.48, 0.52, "held, within noise"),
        (0.49, 0.47, 0.51, "missed, within noise"),
        (0.49, 0.48, 0.50, "missed, within noise"),
        (0.45, 0.41, 0.49, "missed"),
        (0.55, np.nan, np.nan, "undecided"),
        (np.nan, 0.4, 0.6, "undecided"),
    ],
)
def test_a_value_with_its_interval_has_one_of_four_verdicts(
    value: float, low: float, high: float, expected: str
) -> None:
    assert verdict(value, low, high, 0.5) == expected


def test_a_verdict_never_gets_worse_as_the_value_rises() -> None:
    said = [verdict(v, v - 0.02, v + 0.02, 0.5) for v in np.linspace(0.45, 0.55, 101)]
    places = [VERDICTS.index(s) for s in said]
    assert places == sorted(places, reverse=True)
    assert set(said) == set(VERDICTS)


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2, 1), (2, 1, 0)])
def test_swapped_arguments_are_refused(order: tuple[int, int, int]) -> None:
    given = (0.55, 0.51, 0.59)
    with pytest.raises(InputError, match="low <= value <= high"):
        verdict(*(given[i] for i in order), 0.5)


def test_a_doubtful_judge_is_named_with_its_verdict() -> None:
    assert qualified("held", "judge right in 17% of 8 comparisons").startswith("held (judge right")
    assert qualified("held", "") == "held"
    assert qualified("", "judge right in 17% of 8 comparisons") == ""
    assert UNDECIDED not in VERDICTS
