"""Every environment's parameters are valid, and what they name exists in the project."""

from pathlib import Path

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from conftest import PROJECT

ENVIRONMENTS = sorted(
    p.name for p in (PROJECT / "conf").iterdir() if p.is_dir() and p.name not in {"base", "local"}
)


@pytest.mark.slow
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_environment_loads(environment: str) -> None:
    bootstrap_project(PROJECT)
    with KedroSession.create(PROJECT, env=environment) as session:
        context = session.load_context()
        assert context.params["task"].objectives[0].threshold is None


def test_shipped_prompts_are_distinct() -> None:
    from mopo_pipeline.sources.reading import read_table

    prompts = read_table(Path(PROJECT / "src/mopo_pipeline/sources/prompts.jsonl"))["prompt"]
    assert prompts.is_unique
    assert len(prompts) >= 100
