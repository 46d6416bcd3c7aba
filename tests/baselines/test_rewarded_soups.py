"""Rewarded soups: averages of experts, of whole weights or of an adapter's factors."""

from pathlib import Path

import numpy as np
import pytest
import torch
from rival_setting import small_setting
from safetensors.torch import load_file

from mopo_pipeline.baselines.policies import FolderPolicy
from mopo_pipeline.baselines.registry import train_rival
from mopo_pipeline.baselines.setting import RivalPolicy, Setting
from mopo_pipeline.errors import InputError
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.parameters.fit import LoraParams

ASKED = {"weights": ((0.0, 1.0, 0.0), (0.5, 0.25, 0.25)), "learning_rate": 0.02}


def state_of(folder: Path | None) -> dict[str, torch.Tensor]:
    assert folder is not None
    model, _ = load_model(folder)
    owner = model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
    return dict(owner.state_dict())


def folder_of(point: RivalPolicy) -> Path:
    assert isinstance(point.policy, FolderPolicy)
    return point.policy.folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return small_setting(tmp_path_factory.mktemp("soups"))


@pytest.fixture(scope="module")
def adapted(whole: Setting, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return small_setting(
        tmp_path_factory.mktemp("adapted"), reference=whole.reference, lora=LoraParams(r=2, alpha=4)
    )


@pytest.mark.slow
def test_all_weight_on_one_objective_is_its_expert(whole: Setting) -> None:
    point, _ = train_rival("rewarded_soups", whole, ASKED)
    expert, soup = state_of(point.trainings[1].folder), state_of(folder_of(point))
    assert all(torch.equal(tensor, soup[name]) for name, tensor in expert.items())
    assert point.kind == "interpolated" and len(point.trainings) == 3


@pytest.mark.slow
def test_a_soup_is_the_weighted_mean_of_its_experts(whole: Setting) -> None:
    _, point = train_rival("rewarded_soups", whole, ASKED)
    experts = [state_of(training.folder) for training in point.trainings]
    soup = state_of(folder_of(point))
    moved = 0.0
    for name, tensor in soup.items():
        parts = [w * e[name].double() for w, e in zip((0.5, 0.25, 0.25), experts, strict=True)]
        torch.testing.assert_close(tensor.double(), sum(parts), atol=1e-6, rtol=1e-6)
        moved = max(moved, float((experts[0][name] - experts[1][name]).abs().max()))
    assert moved > 0.01


@pytest.mark.slow
def test_adapters_folded_in_average_as_what_they_changed(adapted: Setting) -> None:
    """Linear in the change of the weights, whatever the factors are."""
    _, point = train_rival("rewarded_soups", adapted, ASKED)
    experts = [state_of(training.folder) for training in point.trainings]
    soup = state_of(folder_of(point))
    for name, tensor in soup.items():
        mean = sum(w * e[name] for w, e in zip((0.5, 0.25, 0.25), experts, strict=True))
        torch.testing.assert_close(tensor, mean, atol=1e-6, rtol=1e-5)


@pytest.mark.slow
def test_factors_averaged_apart_are_another_model_with_the_mean_of_each_factor(
    adapted: Setting,
) -> None:
    expert, point = train_rival("rewarded_soups", adapted, ASKED | {"merge": "factors"})
    file = "adapter_model.safetensors"
    parts = [load_file(t.folder / file) for t in point.trainings if t.folder is not None]
    soup = load_file(folder_of(point) / file)
    for name, tensor in soup.items():
        mean = sum(w * p[name] for w, p in zip((0.5, 0.25, 0.25), parts, strict=True))
        torch.testing.assert_close(tensor, mean)
    _, merged = train_rival("rewarded_soups", adapted, ASKED)
    factors, weights = state_of(folder_of(point)), state_of(folder_of(merged))
    assert max(float((factors[n] - weights[n]).abs().max()) for n in factors) > 1e-4
    alone = state_of(expert.trainings[1].folder)
    assert all(torch.equal(t, alone[n]) for n, t in state_of(folder_of(expert)).items())


def test_factors_need_adapters(whole: Setting) -> None:
    with pytest.raises(InputError, match="only where adapters are trained"):
        train_rival("rewarded_soups", whole, {"merge": "factors"})


@pytest.mark.slow
def test_a_diverged_expert_fails_every_point_that_rests_on_it(whole: Setting) -> None:
    points = train_rival("rewarded_soups", whole, ASKED | {"learning_rate": 1e30})
    assert [p.status for p in points] == ["failed", "failed"]
    assert np.all(["loss became" in p.reason for p in points])
