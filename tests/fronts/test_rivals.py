"""What rivals cost beside a front."""

from pathlib import Path

from mopo_pipeline.baselines.setting import RivalPolicy, Training
from mopo_pipeline.pipelines.front.rivals import _candidate
from mopo_pipeline.policies.valued import Budget


def soup(point: str, *experts: Training) -> RivalPolicy:
    return RivalPolicy("soup", "trained", point, 0, {}, experts, None, own=Budget(judge_calls=1))


def test_a_training_that_several_points_rest_on_is_paid_once() -> None:
    first, second = (Training(key, Path(key), Budget(sequences=10)) for key in ("a", "b"))
    trained: set[str] = set()
    points = [soup("1,0", first), soup("half", first, second), soup("0,1", second)]
    spent = [_candidate(point, trained).spent for point in points]
    assert [cost.sequences for cost in spent] == [10, 10, 0]
    assert [cost.judge_calls for cost in spent] == [1, 1, 1]
