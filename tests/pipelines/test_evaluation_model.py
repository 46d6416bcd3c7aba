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
