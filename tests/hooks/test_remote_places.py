"""Remote addresses are read where data comes in, and refused in a line everywhere else."""

from typing import Any

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from conftest import PROJECT
from mopo_pipeline.errors import InputError


def loaded(**parameters: Any) -> Any:
    bootstrap_project(PROJECT)
    with KedroSession.create(PROJECT, env="test", runtime_params=parameters) as session:
        return session.load_context()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"data_root": "s3://bucket/run"}, "data_root=s3://bucket/run"),
        ({"export": {"path": "gs://bucket/out"}}, "export.path=gs://bucket/out"),
        ({"train": {"policy": "s3://bucket/sft"}}, "train.policy=s3://bucket/sft"),
        ({"reference": {"model": "hf://org/name"}}, "reference.model=hf://org/name"),
        (
            {"evaluate": {"capability": {"prompt_sets": {"safety": "s3://b/p.txt"}}}},
            "evaluate.capability.prompt_sets.safety=s3://b/p.txt",
        ),
    ],
)
def test_a_remote_place_is_refused_before_anything_is_made_of_it(
    given: dict[str, Any], named: str
) -> None:
    with pytest.raises(InputError, match=named) as error:
        loaded(**given)
    assert "\n" not in str(error.value)
    assert "ingest.path may be remote" in str(error.value)
    assert not list(PROJECT.glob("*:"))


def test_remote_data_and_hub_ids_pass() -> None:
    files = {"source": "files", "path": "s3://bucket/votes.csv"}
    context = loaded(ingest=files, reference={"model": "org/name"})
    assert str(context.params["ingest"].path) == "s3://bucket/votes.csv"
