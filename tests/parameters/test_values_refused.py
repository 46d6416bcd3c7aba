"""Values that YAML reads as something else, names that no command could say, and one value in another's way."""

from typing import Any

import pytest
from pydantic import ValidationError

from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.fit import FitParams
from mopo_pipeline.parameters.plan import PlanParams
from mopo_pipeline.parameters.preferences import LabelParams


@pytest.mark.parametrize(
    ("model", "given"),
    [
        (PlanParams, {"tau": True}),
        (PlanParams, {"tau": 0.1, "thresholds": {"safe": True}}),
        (PlanParams, {"tau": 0.1, "thresholds": {"safe": {"position": True}}}),
        (PlanParams, {"tau": 0.1, "margins": {"safe": False}}),
        (LabelParams, {"tie_margin": True}),
        (TaskParams, {"objectives": [{"name": "good"}], "seed": False}),
        (TaskParams, {"objectives": [{"name": "good"}, {"name": "safe", "threshold": True}]}),
        (TaskParams, {"objectives": [{"name": True}]}),
    ],
)
def test_a_truth_value_is_no_number_and_no_name(model: Any, given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"a truth value .YAML reads yes, no, on, off"):
        model.model_validate(given)


def test_a_truth_value_where_one_is_meant_is_taken() -> None:
    assert FitParams.model_validate({"gradient_checkpointing": True}).gradient_checkpointing is True


@pytest.mark.parametrize(
    "name",
    ["help.ful", "a,b", "a=b", "help/harm", "a[0]", "cost$", "a|b", "_safe", " safe", "safe\t"],
)
def test_a_name_that_no_command_could_say_is_refused_with_the_way_round(name: str) -> None:
    with pytest.raises(ValidationError, match=r"could not name; .* its column by ingest\.columns"):
        TaskParams.model_validate({"objectives": [{"name": "good"}, {"name": name}]})


@pytest.mark.parametrize("name", ["humor-no-humor", "not rude", "höflich", "有用", "no_violence"])
def test_other_names_are_taken_as_they_are(name: str) -> None:
    assert TaskParams.model_validate({"objectives": [{"name": name}]}).names == (name,)


def test_a_radius_and_a_confidence_are_not_both_taken_where_one_would_be_passed_over() -> None:
    with pytest.raises(ValidationError, match=r"epsilon 0\.15 stands in place of a confidence"):
        PlanParams.model_validate({"tau": 0.1, "epsilon": 0.15, "confidence": 0.8})
    assert PlanParams.model_validate({"tau": 0.1, "epsilon": 0.15}).epsilon == 0.15


@pytest.mark.parametrize(
    "name", ["judge", "completion_id", "point", "hypervolume", "chosen", "ended"]
)
def test_a_name_that_a_table_behind_training_has_for_a_column_is_refused(name: str) -> None:
    """Answers are judged, and points compared, in tables of which these are columns."""
    with pytest.raises(ValidationError, match="tables use it as a column; give it another name"):
        TaskParams.model_validate({"objectives": [{"name": "good"}, {"name": name}]})


@pytest.mark.parametrize("made", ["good_win_rate", "good_win_rate_from", "good_se"])
def test_a_name_made_of_another_one_is_refused(made: str) -> None:
    with pytest.raises(ValidationError, match="has the name of a column made for 'good'"):
        TaskParams.model_validate({"objectives": [{"name": "good"}, {"name": made}]})
