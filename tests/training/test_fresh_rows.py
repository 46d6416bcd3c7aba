from dataclasses import dataclass

import pytest

from mopo_pipeline.language.threads import SMALL
from mopo_pipeline.training import fresh_rows
from mopo_pipeline.training.fresh_rows import BY_SMALL, DRAWN_AT_ONCE, at_once


@dataclass
class OfSize:
    parameters: int

    def num_parameters(self) -> int:
        return self.parameters


def test_a_small_model_draws_many_answers_at_once_shared_among_processes() -> None:
    small = OfSize(SMALL - 1)
    assert [at_once(small, processes) for processes in (1, 2, 99)] == [
        BY_SMALL,
        BY_SMALL // 2,
        DRAWN_AT_ONCE,
    ]
    assert at_once(OfSize(SMALL), 1) == DRAWN_AT_ONCE


def test_a_part_of_a_model_says_nothing_of_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh_rows, "sharded", lambda model: True)
    assert at_once(OfSize(1), 1) == DRAWN_AT_ONCE
