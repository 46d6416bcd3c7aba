"""A judge fitted on the validation split, and what stands in its place where there is none."""

from pathlib import Path

import pandas as pd

from mopo_pipeline.datasets import ModelDirectoryDataset
from mopo_pipeline.evaluation.judging import evaluation_model
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.preferences import PreferencesParams
from mopo_pipeline.pipelines.evaluate.nodes import fit_evaluation_model


def test_without_any_model_the_artifact_is_still_one_that_can_be_loaded(tmp_path: Path) -> None:
    task = TaskParams.model_validate({"objectives": [{"name": "a"}]})
    compared = pd.DataFrame({"prompt_id": ["p"], "split": ["train"], "a": [1.0]})
    (tmp_path / "none.json").write_text("{}", encoding="utf-8")
    directory, facts = fit_evaluation_model(
        pd.DataFrame(), compared, tmp_path, task, PreferencesParams()
    )
    assert facts["split"] is None
    dataset = ModelDirectoryDataset(filepath=str(tmp_path / "kept"))
    dataset.save(directory)
    assert evaluation_model(dataset.load()) is None


def test_few_groups_of_many_validation_prompts_fit_no_judge_and_stop_no_run(tmp_path: Path) -> None:
    """After training an error would cost the training's hours; two groups cannot be cross-fitted in four folds."""
    task = TaskParams.model_validate({"objectives": [{"name": "a"}]})
    prompts = [f"p{i}" for i in range(12)]
    responses = pd.DataFrame(
        {
            "prompt_id": [prompt for prompt in prompts for _ in "ab"],
            "response_id": [f"{prompt}{side}" for prompt in prompts for side in "ab"],
            "split": "validation",
            "group": [f"g{i % 2}" for i in range(12) for _ in "ab"],
        }
    )
    compared = pd.DataFrame({"prompt_id": prompts, "split": "validation", "a": 1.0})
    (tmp_path / "none.json").write_text("{}", encoding="utf-8")
    _, facts = fit_evaluation_model(responses, compared, tmp_path, task, PreferencesParams())
    [finding] = facts["findings"]
    assert finding["value"] == 2
    assert "comparisons for 12 prompts in 2 groups, fewer than 4" in finding["remedy"]
