"""What a training process is told, as it is written and read."""

from dataclasses import replace
from pathlib import Path

import pytest

from mopo_pipeline.parameters.fit import FIT_WITHOUT_EFFECT, FixedFit, LoraParams
from mopo_pipeline.parameters.lag import FreshLag, NoLag, OfflineLag
from mopo_pipeline.training.run_spec import RunSpec

SPEC = RunSpec(
    "policy",
    Path("/models/first"),
    FixedFit(steps=3, accelerate=Path("eight.yaml")),
    FreshLag(every=2, judge="reward_models", reward_models={"help": "helpful"}),
    None,
    7,
    64,
    None,
)


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        replace(
            SPEC, lora=LoraParams(r=2, target_modules=("q",)), scorer=Path("/judge"), context=None
        ),
    ],
    ids=["plain", "with adapter and judge"],
)
def test_a_spec_read_again_is_the_one_that_was_written(spec: RunSpec, tmp_path: Path) -> None:
    spec.write(tmp_path)
    assert RunSpec.read(tmp_path) == spec


def test_where_files_lie_and_how_a_run_is_computed_do_not_decide_its_result() -> None:
    moved = replace(
        SPEC,
        model=Path("/elsewhere"),
        scorer=Path("/judge"),
        fit=SPEC.fit.model_copy(update={"log_every": 1, "save_every": 1, "device": "cpu"}),
    )
    assert moved.deciding() == SPEC.deciding()
    assert not FIT_WITHOUT_EFFECT & set(SPEC.deciding()["fit"])


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 8},
        {"context": 65},
        {"lora": LoraParams()},
        {"lag": OfflineLag(every=2)},
        {"lag": NoLag()},
        {"fit": FixedFit(steps=4)},
    ],
)
def test_everything_else_does(change: dict[str, object]) -> None:
    assert replace(SPEC, **change).deciding() != SPEC.deciding()  # type: ignore[arg-type]
