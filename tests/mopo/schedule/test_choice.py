"""Of several policies the one to certify is chosen by what validation prompts say of each."""

import numpy as np
import pytest

from mopo_pipeline.mopo.schedule.candidates import Weighed, choose

NAN = float("nan")


def weighed(primary: float, *values: float, asked: float = 0.45) -> Weighed:
    return Weighed(np.array([primary, *values]), np.full(len(values), asked))


def test_the_best_primary_of_those_that_hold_every_threshold_is_taken() -> None:
    seen = [
        weighed(0.7, 0.5, 0.44),
        weighed(0.6, 0.5, 0.46),
        weighed(0.65, 0.45, 0.45),
        weighed(0.5, 0.5, 0.5),
    ]
    assert choose(seen) == 2


def test_what_must_be_seen_of_each_candidate_is_its_own() -> None:
    """The first holds the threshold itself and not with the noise of its own prompts; without that it is taken."""
    second = weighed(0.6, 0.47)
    assert choose([weighed(0.7, 0.46, asked=0.47), second]) == 1
    assert choose([weighed(0.7, 0.46, asked=0.45), second]) == 0


def test_where_none_holds_the_one_whose_worst_threshold_lacks_least_is_taken() -> None:
    seen = [weighed(0.9, 0.6, 0.30), weighed(0.6, 0.40, 0.41), weighed(0.5, 0.42, 0.42)]
    assert [one.shortfall for one in seen] == pytest.approx([0.15, 0.05, 0.03])
    assert choose(seen) == 2


@pytest.mark.parametrize("value", [0.5, 0.4], ids=["all hold", "none holds"])
def test_of_equals_the_first_is_taken(value: float) -> None:
    assert choose([weighed(0.6, value)] * 3) == 0


def test_a_threshold_that_nothing_was_seen_of_is_not_held() -> None:
    assert choose([weighed(0.9, NAN), weighed(0.5, 0.46)]) == 1
    assert choose([weighed(0.9, NAN), weighed(0.5, 0.44)]) == 1
    assert choose([weighed(0.5, NAN), weighed(0.9, NAN)]) == 0


def test_a_primary_that_was_not_seen_is_worth_least() -> None:
    assert choose([weighed(NAN, 0.5), weighed(0.1, 0.5)]) == 1
    assert choose([weighed(0.9, 0.4), weighed(NAN, 0.5)]) == 1
    assert choose([weighed(NAN, 0.5), weighed(NAN, 0.5)]) == 0


def test_without_thresholds_the_primary_alone_decides() -> None:
    assert choose([weighed(0.5), weighed(0.6)]) == 1
