"""Policies between two, and what any policy is worth."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import rel_entr

from mopo_pipeline.errors import InputError
from mopo_pipeline.fronts import collect
from mopo_pipeline.fronts.candidates import Candidate, ModelPolicy
from mopo_pipeline.fronts.interpolate import between
from mopo_pipeline.fronts.values import divergence
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.parameters.front import FrontParams
from tiny_training import tiny_model


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("ends")
    return tiny_model(root / "a", seed=0), tiny_model(root / "b", seed=1)


def weights(directory: Path) -> dict[str, torch.Tensor]:
    return {n: w.detach() for n, w in load_model(directory, device="cpu")[0].named_parameters()}


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_policy_between_two_has_weights_between_theirs(
    ends: tuple[Path, Path], tmp_path: Path, share: float
) -> None:
    between(*ends, share, tmp_path / "m")
    first, last, made = (weights(d) for d in (*ends, tmp_path / "m"))
    for name, weight in made.items():
        torch.testing.assert_close(weight, (1 - share) * first[name] + share * last[name])


def test_two_policies_half_way_to_the_same_thresholds_have_names_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "between", lambda *_: None)
    corners = {"a": (0.2, 0.2), "b": (0.4, 0.4), "c": (0.2, 0.4), "d": (0.4, 0.2)}
    trained = [
        Candidate(
            "mopo", "trained", name, 0, ModelPolicy(tmp_path / name, 1),
            planned={"threshold_harm": at[0], "threshold_brief": at[1]},
        )
        for name, at in corners.items()
    ]  # fmt: skip
    starts = {"a": None, "b": "a", "c": None, "d": "c"}
    plan = {"points": [{"point": name, "start": start} for name, start in starts.items()]}
    params = FrontParams(data_root=tmp_path)
    made = collect.interpolated_candidates(
        trained, plan, params, EvaluateParams(), ("help", "harm", "brief")
    )
    assert [c.point for c in made] == [
        "harm=0.300,brief=0.300 (0.5 of the way)",
        "harm=0.300,brief=0.300 (0.5 of the way), from c to d",
    ]


def test_policies_of_other_sizes_have_nothing_between_them(
    ends: tuple[Path, Path], tmp_path: Path
) -> None:
    wide = tiny_model(tmp_path / "wide", width=32)
    with pytest.raises(InputError, match="of shape"):
        between(ends[0], wide, 0.5, tmp_path / "m")


def test_divergence_counts_what_is_no_answer_of_the_task_as_one_answer_more() -> None:
    """Among the task's answers alone a policy of which half is malformed would seem to have stayed where it was."""
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(6), size=(2, 4))
    expected = rel_entr(0.5 * p, 0.9 * q).sum(axis=1) + rel_entr(0.5, 0.1)
    np.testing.assert_allclose(divergence(np.log(0.5 * p), np.log(0.9 * q)), expected)
    stayed = divergence(np.log(0.5 * q), np.log(0.9 * q))
    np.testing.assert_allclose(stayed, rel_entr([0.5, 0.5], [0.9, 0.1]).sum())
    p[0, 0] = 0.0
    p[0] /= p[0].sum()
    with np.errstate(divide="ignore"):
        found = divergence(np.log(p), np.log(q))
    np.testing.assert_allclose(found, rel_entr(p, q).sum(axis=1), atol=1e-4)
    np.testing.assert_allclose(divergence(np.log(q), np.log(q)), 0.0, atol=1e-12)
