"""What labels say of a judge, and what a sample of prompts says of all prompts, by simulation."""

from dataclasses import replace

import numpy as np
import pytest

from mopo_pipeline.mopo import Comparisons, judge_error, prompt_margins
from mopo_pipeline.mopo.schedule.fresh import stepped_values
from mopo_pipeline.mopo.schedule.margins import prompt_deviation

PROMPTS, ROWS, PAIRS = 150, 6, 10
GROUPS = np.repeat(np.arange(PROMPTS), ROWS)


def world(seed: int, wrong: float) -> tuple[Comparisons, np.ndarray, np.ndarray]:
    """Labels of a Bradley-Terry truth, a judge that overrates what the policy likes by ``wrong``.

    Returns:
        Comparisons with the judge's probabilities, the policy's ratio, and the bias of the judge's
        win rate against the rows of the same prompt, exact.
    """
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(PROMPTS, ROWS))
    liked = rng.normal(size=(PROMPTS, ROWS))
    judged = truth + wrong * liked
    ratio = np.exp(liked)
    share = ratio / ratio.sum(axis=1, keepdims=True)

    def win_rate(scores: np.ndarray) -> np.ndarray:
        return (1 / (1 + np.exp(scores[:, None, :] - scores[:, :, None]))).mean(axis=2)

    bias = float((share * (win_rate(judged) - win_rate(truth))).sum(axis=1).mean())
    first = rng.integers(ROWS, size=(PROMPTS, PAIRS))
    second = (first + rng.integers(1, ROWS, size=(PROMPTS, PAIRS))) % ROWS
    base = np.arange(PROMPTS)[:, None]
    gap = truth[base, first] - truth[base, second]
    labels = rng.random(gap.shape) < 1 / (1 + np.exp(-gap))
    seen = 1 / (1 + np.exp(judged[base, second] - judged[base, first]))
    i, j = ((base * ROWS + rows).ravel() for rows in (first, second))
    compared = Comparisons(i, j, labels.reshape(-1, 1).astype(float), seen.reshape(-1, 1))
    return compared, ratio.ravel(), np.array([bias * ROWS / (ROWS - 1)])


def test_the_bias_is_found_and_covered() -> None:
    """Over 200 simulations: without bias on average, and bias + noise covers it in about 95 %."""
    found, covered = [], []
    for seed in range(200):
        compared, ratio, bias = world(seed, wrong=0.5)
        error = judge_error(compared, ratio, GROUPS, 0.95)
        found.append(error.bias - bias)
        covered.append(error.bias + error.noise >= bias)
    assert np.mean(found) == pytest.approx(0.0, abs=4 * np.std(found) / np.sqrt(200))
    assert 0.91 <= np.mean(covered) <= 0.985
    alone = [judge_error(*world(seed, 0.5)[:2], GROUPS, 0.5).bias[0] for seed in range(20)]
    assert np.mean(alone) > 0.03


def test_a_policy_that_is_the_reference_has_no_error_to_correct() -> None:
    compared, _, _ = world(0, wrong=2.0)
    error = judge_error(compared, np.full(GROUPS.size, 3.0), GROUPS, 0.95)
    np.testing.assert_array_equal(error, np.zeros((2, 1)))


def test_swapping_both_sides_of_every_comparison_changes_nothing() -> None:
    compared, ratio, _ = world(3, wrong=0.5)
    swapped = Comparisons(
        compared.second,
        compared.first,
        1 - np.asarray(compared.labels),
        1 - np.asarray(compared.predicted),
    )
    one, two = (judge_error(c, ratio, GROUPS, 0.9) for c in (compared, swapped))
    np.testing.assert_allclose(one, two, atol=1e-12)


def test_missing_labels_and_weights() -> None:
    """A missing label is no label; a comparison of weight 2 is two."""
    compared, ratio, _ = world(4, wrong=0.5)
    labels = np.asarray(compared.labels).copy()
    labels[::3] = np.nan
    kept = ~np.isnan(labels[:, 0])
    without = Comparisons(
        *(
            np.asarray(getattr(compared, n))[kept]
            for n in ("first", "second", "labels", "predicted")
        )
    )
    for same in (
        judge_error(replace(compared, labels=labels), ratio, GROUPS, 0.9),
        judge_error(replace(compared, weights=kept.astype(float)), ratio, GROUPS, 0.9),
    ):
        np.testing.assert_allclose(same, judge_error(without, ratio, GROUPS, 0.9), atol=1e-12)
    nothing = replace(compared, labels=np.full_like(labels, np.nan))
    np.testing.assert_array_equal(judge_error(nothing, ratio, GROUPS, 0.9), np.zeros((2, 1)))


def test_prompt_margins_are_those_of_prompt_means() -> None:
    """Near the normal margin of the prompts' means; more responses of the same values add nothing."""
    rng = np.random.default_rng(0)
    prompts = rng.uniform(size=(PROMPTS, 2))
    margin = prompt_margins(prompts[GROUPS], GROUPS, 0.95)
    normal = 1.645 * prompts.std(axis=0) / np.sqrt(PROMPTS)
    np.testing.assert_allclose(margin, normal, rtol=0.05)
    once = prompt_margins(prompts, np.arange(PROMPTS), 0.95)
    np.testing.assert_allclose(margin, once)


def test_one_objective_has_no_margins_and_no_targets() -> None:
    alone = np.random.default_rng(0).uniform(size=(len(GROUPS), 1))
    assert prompt_deviation(alone[:, 1:], GROUPS).shape == (0,)
    assert stepped_values(np.ones(len(GROUPS)), 0.5, np.zeros(0), 0.1, alone, GROUPS).shape == (0,)
