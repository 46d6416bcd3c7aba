"""The plan as a type, and as the JSON that the catalog keeps."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from evaluated import PLAN
from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import Finding
from mopo_pipeline.plan.problem import row_comparisons
from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.tables import weight_columns


def saved(plan: TrainingPlan) -> TrainingPlan:
    """Written as strict JSON and read again."""
    return TrainingPlan.from_json(json.loads(json.dumps(plan.to_json(), allow_nan=False)))


@pytest.mark.parametrize("pooling", [0.0, 3.5, float("inf")])
def test_a_plan_read_again_is_the_plan_that_was_saved(pooling: float) -> None:
    told = (Finding("no threshold binds", 0.1, 0.0, "raise them", "info"),)
    plan = replace(PLAN, pooling=pooling, chi={"harm": None, "short": 2.0}, findings=told)
    assert saved(plan) == plan


def test_a_finding_without_a_finite_value_can_be_saved() -> None:
    told = (Finding("loss not finite", float("inf"), 1.0, "lower the learning rate", "error"),)
    [again] = saved(replace(PLAN, findings=told)).findings
    assert np.isnan(again.value)
    assert again.as_dict() == told[0].as_dict()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda plain: plain.pop("bounds"), "training_plan lacks 'bounds'"),
        (lambda plain: plain.update(weights=[1]), "training_plan has an unknown 'weights'"),
    ],
)
def test_a_plan_of_another_version_is_refused_by_its_field(change: object, said: str) -> None:
    plain = PLAN.to_json()
    change(plain)  # type: ignore[operator]
    with pytest.raises(InputError, match=said):
        TrainingPlan.from_json(plain)


def test_comparisons_become_indices_of_the_rows_in_their_order() -> None:
    names = ("help", "harm")
    pairs = pd.DataFrame(
        {
            "response_a": ["a", "x", "c"],
            "response_b": ["b", "y", "a"],
            "help": [1.0, 0.0, 0.5],
            "harm": [0.0, 1.0, np.nan],
        }
        | dict.fromkeys(weight_columns(names), 1.0)
    )
    predicted = pd.DataFrame({"help": [0.7, 0.1, 0.4], "harm": [0.2, 0.9, 0.6]})
    rows = pd.DataFrame({"prompt_id": ["q", "q", "q"], "response_id": ["c", "b", "a"]})
    found = row_comparisons(rows, pairs, predicted, names)
    assert found is not None
    np.testing.assert_array_equal(found.first, [2, 0])
    np.testing.assert_array_equal(found.second, [1, 2])
    np.testing.assert_array_equal(found.labels, [[1.0, 0.0], [0.5, np.nan]])
    np.testing.assert_array_equal(found.predicted, [[0.7, 0.2], [0.4, 0.6]])
    np.testing.assert_allclose(found.weights, [[0.5, 1.0], [0.5, 0.0]])
    other = pd.DataFrame({"prompt_id": ["q"], "response_id": ["z"]})
    assert row_comparisons(other, pairs, predicted, names) is None
