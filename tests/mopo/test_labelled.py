"""Values from labels alone, against the pocket task's truth."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from mopo_pipeline.mopo import Comparisons
from mopo_pipeline.mopo.labelled import Seen, cautious_values, labelled_values
from pocket_world import OBJECTIVES, World, world


def arrays(data: World) -> tuple[Comparisons, np.ndarray, np.ndarray]:
    """Comparisons, log-ratios and prompts of a world's responses."""
    place = pd.Series(np.arange(len(data.responses)), index=data.responses["response_id"])
    pairs = data.comparisons
    compared = Comparisons(
        place.loc[pairs["response_a"]].to_numpy(),
        place.loc[pairs["response_b"]].to_numpy(),
        pairs[list(OBJECTIVES)].to_numpy(dtype=float),
    )
    gap = (data.logprobs["logprob_policy"] - data.logprobs["logprob_reference"]).to_numpy()
    return compared, gap, pd.factorize(data.responses["prompt_id"])[0]


@pytest.mark.slow
def test_the_truth_lies_within_two_of_the_told_errors_as_often_as_it_should() -> None:
    """Sixty worlds of 36 prompts; with the ratios turned round it hardly ever does."""
    inside, turned = [], []
    for seed in range(60):
        data = world(seed, answers=32, pairs=48)
        compared, gap, prompts = arrays(data)
        for sign, kept in ((1, inside), (-1, turned)):
            seen = labelled_values(compared, sign * gap, prompts)
            kept.append(np.abs(seen.values - data.truth) < 2 * seen.errors)
    assert np.mean(inside) > 0.88
    assert np.mean(turned) < 0.3


def test_missing_labels_and_weights_of_nothing_leave_a_comparison_out() -> None:
    compared, gap, prompts = arrays(world(0))
    labels = np.asarray(compared.labels).copy()
    labels[::3, 1] = np.nan
    weights = np.ones_like(labels)
    weights[::3, 1] = 0.0
    first, second = compared.first, compared.second
    missing = labelled_values(Comparisons(first, second, labels), gap, prompts)
    weightless = labelled_values(
        Comparisons(first, second, compared.labels, weights=weights), gap, prompts
    )
    whole = labelled_values(compared, gap, prompts)
    np.testing.assert_allclose(missing.values, weightless.values, rtol=1e-12)
    assert missing.values[1] != whole.values[1]
    assert missing.values[0] == whole.values[0]


def test_what_a_policy_gave_up_is_not_seen_too_high_for_few_answers() -> None:
    """Ten answers a prompt, a policy one nat from who drew them that prefers what loses: .03 too high by shares alone."""
    rng, prompts, answers, step = np.random.default_rng(2), 1500, 10, np.sqrt(2.0)
    z = rng.normal(size=(prompts, answers))
    i, j = np.triu_indices(answers, 1)
    starts = answers * np.arange(prompts)[:, None]
    first, second = (starts + i).ravel(), (starts + j).ravel()
    labels = expit(0.6 * (z.ravel()[second] - z.ravel()[first]))[:, None]
    compared = Comparisons(first, second, np.hstack([labels, 1.0 - labels]))
    given = compared, step * z.ravel(), np.repeat(np.arange(prompts), answers)
    nodes, mass = np.polynomial.hermite_e.hermegauss(40)
    truth = expit(-0.6 * step - 0.6 * np.sqrt(2.0) * nodes) @ mass / mass.sum()
    plain, seen = labelled_values(*given), cautious_values(*given)
    assert plain.values[0] - truth > 0.02
    assert -0.01 < seen.values[0] - truth < 0.005
    assert seen.values[1] == plain.values[1] < 1.0 - truth
    assert seen.errors[0] > plain.errors[0]
    assert seen.errors[1] == plain.errors[1]


def test_without_labels_nothing_is_seen() -> None:
    none = Comparisons([0], [1], [[1.0, np.nan]])
    seen = labelled_values(none, np.zeros(2), np.zeros(2, dtype=np.int64))
    assert np.isnan(seen.values[1])
    assert seen.deviation.tolist() == [0.0, 0.0]


def test_turned_labels_turn_the_value() -> None:
    compared, gap, prompts = arrays(world(1))
    seen = labelled_values(compared, gap, prompts)
    turned = labelled_values(
        Comparisons(compared.first, compared.second, 1 - np.asarray(compared.labels)), gap, prompts
    )
    np.testing.assert_allclose(seen.values + turned.values, 1.0, atol=1e-12)
    np.testing.assert_allclose(seen.errors, turned.errors, atol=1e-12)


def test_errors_are_deviations_over_the_root_of_prompts() -> None:
    seen = Seen(np.array([0.5]), np.array([0.2]), np.array([16.0]))
    assert seen.errors[0] == pytest.approx(0.05)
