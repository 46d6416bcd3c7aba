"""What rivals cost beside a front."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mopo_pipeline.baselines import registry
from mopo_pipeline.baselines.setting import RivalPolicy, Training
from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.lag import FreshLag
from mopo_pipeline.parameters.train import TrainParams
from mopo_pipeline.pipelines.front.rivals import (
    _candidate,
    _points,
    paid_once,
    steering_judge,
)
from mopo_pipeline.pocket.task import OBJECTIVES
from mopo_pipeline.policies.valued import Budget


def soup(point: str, *experts: Training) -> RivalPolicy:
    return RivalPolicy("soup", "trained", point, 0, {}, experts, None, own=Budget(judge_calls=1))


def test_a_training_that_diverged_is_a_failed_point_with_its_reason_and_cost() -> None:
    lost = Training("a", None, Budget(sequences=7), "the loss became nan at step 3")
    point = RivalPolicy(
        "raco", "trained", "1,0", 0, {}, (lost,), None, status="failed", reason=lost.failure
    )
    found = _candidate(point, set())
    assert (found.method, found.status, found.policy) == ("raco", "failed", None)
    assert found.reason == "the loss became nan at step 3"
    assert found.spent.sequences == 7


def test_a_rival_that_the_data_cannot_train_is_a_failed_point_and_the_next_one_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def train(name: str, *_: Any) -> tuple[RivalPolicy, ...]:
        if name == "raco":
            raise InputError("2 decided pairs, fewer than the 4 of a batch")
        return (soup("1,0"),)

    monkeypatch.setattr(registry, "train_rival", train)
    setting: Any = SimpleNamespace(seed=3)
    [lost] = _points("raco", setting, {"beta": 0.1})
    assert (lost.status, lost.seed, lost.policy) == ("failed", 3, None)
    assert "fewer than the 4" in lost.reason
    assert [point.point for point in _points("soup", setting, {})] == ["1,0"]


def test_a_training_that_several_points_rest_on_is_paid_once() -> None:
    first, second = (Training(key, Path(key), Budget(sequences=10)) for key in ("a", "b"))
    points = [soup("1,0", first), soup("half", first, second), soup("0,1", second)]
    for _ in ("soups", "another rival of the same experts"):
        spent = [found.spent for found in paid_once(points)]
        assert [cost.sequences for cost in spent] == [10, 10, 0]
        assert [cost.judge_calls for cost in spent] == [1, 1, 1]


@pytest.mark.slow
def test_rivals_are_steered_by_the_judge_that_steers_ours_and_not_by_the_one_that_values_all(
    tiny_run: Path, tmp_path: Path
) -> None:
    fitted = tiny_run / "06_models/preference_model"
    for train in (TrainParams(work_dir=tmp_path), TrainParams(work_dir=tmp_path, lag=FreshLag())):
        assert steering_judge(train, OBJECTIVES, fitted).name == "preference_model"
    told = TrainParams(work_dir=tmp_path, lag=FreshLag(judge="pocket"))
    assert steering_judge(told, OBJECTIVES, fitted).name == "rules"
