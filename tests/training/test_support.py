"""Which answers are like the data: neither a long text among it nor one wrong step hides the rest."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from mopo_pipeline.training.support import like_data


def rows(*lengths: int) -> Any:
    return SimpleNamespace(response_lengths=np.array(lengths))


def test_garbage_as_likely_as_one_long_text_of_the_data_is_unlike_it() -> None:
    """Ninety-nine answers of ten tokens at -.2 each, one of a thousand; garbage of ten tokens at -5."""
    data = rows(*[10] * 99, 1000)
    own = -0.2 * data.response_lengths.astype(float)
    assert own.min() == -200.0
    found = like_data(own, data, np.array([-50.0, -2.0]), rows(10, 10), 0.01)
    assert found.tolist() == [False, True]


def test_one_wrong_step_in_a_long_answer_is_unlike_data_of_which_each_part_is_sure() -> None:
    """Forty tokens at -.1 and one at -12 are -.39 per token, likelier than short answers of the data."""
    data = rows(*[4, 40] * 50)
    own = np.where(data.response_lengths == 4, -0.5 * 4, -0.1 * 40)
    wrong = -0.1 * 40 - 12.0
    found = like_data(own, data, np.array([wrong, -4.0]), rows(41, 40), 0.01)
    assert wrong / 41 > (own / data.response_lengths).min()
    assert found.tolist() == [False, True]
