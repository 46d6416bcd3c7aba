"""What the method says of thresholds that cannot be met."""

import numpy as np
import pytest

from mopo_pipeline.mopo import InfeasibleThresholdsError


@pytest.mark.parametrize(
    ("attainable", "said"),
    [
        ([0.3, 0.8], "threshold 1 is out of reach even alone"),
        ([0.0, 0.0], "thresholds 1, 2 are out of reach even alone"),
        ([0.8, 0.8], "each can be met alone, but not all together"),
    ],
)
def test_thresholds_out_of_reach_are_counted_and_no_zero_has_a_sign(
    attainable: list[float], said: str
) -> None:
    error = InfeasibleThresholdsError(
        np.array([0.5, 0.5]), np.array(attainable), np.array([-1e-9, -0.0])
    )
    assert said in str(error)
    assert str(error).endswith("(0.0000, 0.0000)")
