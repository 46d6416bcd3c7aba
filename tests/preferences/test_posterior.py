"""Win rates from the words and the responses' own labels, which never hold themselves up."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from mopo_pipeline.parameters.preferences import WinRateParams
from mopo_pipeline.preferences import estimate, own_labels
from mopo_pipeline.preferences.estimate import WinRateEstimate, estimate_win_rates, model_win_rates
from mopo_pipeline.preferences.features import EncoderFeatures
from mopo_pipeline.preferences.fit import CrossFit
from mopo_pipeline.preferences.own_labels import OwnLabels, comparison_folds, fit_own_labels
from mopo_pipeline.preferences.posterior import MANY, Pairs, fit_posterior, prior_mean
from mopo_pipeline.tables import weight_columns

NAMES = ("good", "brief")


def world(
    sigma: float, prompts: int = 150, answers: int = 8, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, Pairs]:
    """Scores, prompts and one vote on every pair, where each answer has a utility of its own."""
    rng = np.random.default_rng(seed)
    prompt = np.repeat(np.arange(prompts), answers)
    scores = rng.normal(0.0, 0.7, prompt.size)
    utility = prior_mean(scores, sigma) + rng.normal(0.0, sigma, prompt.size)
    every = np.array(list(combinations(range(answers), 2)))
    first, second = (np.arange(prompts)[:, None] * answers + every[:, s] for s in (0, 1))
    first, second = first.ravel(), second.ravel()
    labels = rng.random(first.size) < expit(utility[first] - utility[second])
    return scores, prompt, Pairs(first, second, labels.astype(float), np.ones(first.size))


def fitted(scores: np.ndarray, prompt: np.ndarray, pairs: Pairs) -> OwnLabels:
    folds = comparison_folds(prompt[pairs.first], 4, np.random.default_rng(1))
    return fit_own_labels(scores, prompt, pairs, folds, 4)


@pytest.mark.parametrize("sigma", [0.0, 0.5, 1.0, 2.0])
def test_the_spread_of_what_people_add_is_found_from_labels_left_out(sigma: float) -> None:
    found = fitted(*world(sigma))
    step = own_labels.SIGMAS.index(sigma)
    assert abs(own_labels.SIGMAS.index(found.sigma) - step) <= 1
    assert (found.without is None) == (found.sigma == 0)
    assert found.losses[found.sigma] == min(found.losses.values())


def test_without_a_spread_of_their_own_responses_keep_the_preference_models_win_rates() -> None:
    scores, prompt, pairs = world(1.0, prompts=6)
    for opponents in (4, 9):
        values, errors = fit_posterior(scores, prompt, pairs, 0.0).win_rates(
            own_labels._spread(scores, prompt), opponents
        )
        expected = model_win_rates(scores[:, None], pd.Series(prompt), opponents)
        np.testing.assert_allclose(values, expected[0][:, 0], atol=1e-12)
        np.testing.assert_allclose(errors, expected[1][:, 0], atol=1e-12)


def test_a_response_without_comparisons_keeps_what_the_words_say_of_it() -> None:
    scores, prompt, pairs = world(1.0, prompts=3)
    silent = Pairs(*(np.asarray(part)[:0] for part in vars(pairs).values()))
    fit = fit_posterior(scores, prompt, silent, 2.0)
    np.testing.assert_allclose(
        fit.beats(pairs.first, pairs.second), expit(scores[pairs.first] - scores[pairs.second])
    )
    lonely = pairs.kept((pairs.first % 8 != 0) & (pairs.second % 8 != 0))
    some = fit_posterior(scores, prompt, lonely, 2.0)
    np.testing.assert_allclose(some.mean[::8], some.prior[::8])
    assert np.abs(some.mean - some.prior).max() > 0.5


def test_with_a_wide_spread_the_mode_is_bradley_terry_of_the_prompts_own_comparisons() -> None:
    """Against a minimiser that knows nothing of the posterior: soft labels, weights, one missing."""
    rng = np.random.default_rng(3)
    every = np.array(list(combinations(range(5), 2)))
    labels, weights = rng.uniform(0.2, 0.8, len(every)), rng.exponential(size=len(every))
    labels[4] = np.nan
    pairs = Pairs(every[:, 0], every[:, 1], labels, weights)
    fit = fit_posterior(rng.normal(size=5), np.zeros(5, dtype=int), pairs, 1e4)
    there = ~np.isnan(labels)

    def loss(utility: np.ndarray) -> float:
        gap = (utility[every[:, 0]] - utility[every[:, 1]])[there]
        return float(weights[there] @ (np.logaddexp(0.0, gap) - labels[there] * gap))

    expected = minimize(loss, np.zeros(5), tol=1e-12).x
    np.testing.assert_allclose(
        fit.mean - fit.mean.mean(), expected - expected.mean(), rtol=1e-3, atol=1e-3
    )


def test_the_mode_has_no_slope_even_where_labels_separate_the_responses() -> None:
    scores, prompt, pairs = world(2.0, prompts=5)
    certain = Pairs(
        pairs.first, pairs.second, (pairs.first < pairs.second) * 1.0, 9 * pairs.weights
    )
    fit = fit_posterior(scores, prompt, certain, 8.0)
    surprise = certain.weights * (
        certain.labels - expit(fit.mean[certain.first] - fit.mean[certain.second])
    )
    slope = np.bincount(certain.first, surprise, len(scores))
    slope -= np.bincount(certain.second, surprise, len(scores))
    np.testing.assert_allclose(slope, (fit.mean - fit.prior) / 64.0, atol=1e-8)


def test_flipping_every_label_and_score_turns_win_rates_round() -> None:
    scores, prompt, pairs = world(1.0, prompts=20)
    found = fitted(scores, prompt, pairs)
    turned = fitted(
        -scores, prompt, Pairs(pairs.first, pairs.second, 1 - pairs.labels, pairs.weights)
    )
    mirrored = fitted(
        scores, prompt, Pairs(pairs.second, pairs.first, 1 - pairs.labels, pairs.weights)
    )
    np.testing.assert_allclose(turned.win_rates, 1 - found.win_rates, atol=1e-9)
    np.testing.assert_allclose(mirrored.win_rates, found.win_rates, atol=1e-9)
    np.testing.assert_allclose(mirrored.predictions, 1 - found.predictions, atol=1e-9)


def test_neither_the_order_of_rows_nor_prompts_of_other_sizes_matter() -> None:
    scores, prompt, pairs = world(1.0, prompts=4)
    expected = fit_posterior(scores, prompt, pairs, 1.0)
    order = np.random.default_rng(0).permutation(40)
    extended = np.concatenate([scores, np.zeros(8)]), np.append(prompt, [90] * 3 + [91] * 5)
    place = np.empty(40, dtype=int)
    place[order] = np.arange(40)
    moved = Pairs(place[pairs.first], place[pairs.second], pairs.labels, pairs.weights)
    found = fit_posterior(extended[0][order], extended[1][order], moved, 1.0)
    np.testing.assert_allclose(found.mean[place[:32]], expected.mean, atol=1e-9)
    np.testing.assert_allclose(
        found.beats(moved.first, moved.second), expected.beats(pairs.first, pairs.second)
    )


def by_hand(scores: np.ndarray, pairs: Pairs, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Mode (n,) and covariance (n, n) of one prompt's utilities, by short Newton steps on dense matrices."""
    n, prior = len(scores), prior_mean(scores, sigma)
    ends = np.zeros((len(pairs.first), n))
    ends[np.arange(len(ends)), pairs.first] += 1.0
    ends[np.arange(len(ends)), pairs.second] -= 1.0
    mode = prior.copy()
    for _ in range(50):
        p = expit(ends @ mode)
        slope = ends.T @ (pairs.weights * (pairs.labels - p)) - (mode - prior) / sigma**2
        curved = (ends.T * (pairs.weights * p * (1 - p))) @ ends + np.eye(n) / sigma**2
        step = np.linalg.solve(curved, slope)
        mode = mode + step / max(1.0, np.abs(step).max())
    return mode, np.linalg.inv(curved)


@pytest.mark.parametrize("share", [0.25, 1.0, 3.0])
def test_a_prompt_of_hundreds_of_answers_is_what_dense_algebra_makes_of_it(share: float) -> None:
    """Two of them, beside a small one; answers nobody compared, pairs told apart from each other, votes, ties."""
    size, sigma = MANY + 40, 1.5
    rng = np.random.default_rng(5)
    scores, prompt = rng.normal(size=2 * size + 6), np.repeat([4, 1, 9], [size, 6, size])
    made = []
    for rows in (np.flatnonzero(prompt == each) for each in (4, 1, 9)):
        one = rng.choice(rows, max(3, int(share * len(rows))))
        made.append((one, rows[(one - rows[0] + 1 + one % (len(rows) - 1)) % len(rows)]))
    first, second = (np.concatenate(side) for side in zip(*made, strict=True))
    labels, weights = rng.choice([0.0, 0.5, 1.0], len(first)), rng.integers(1, 4, len(first)) * 1.0
    fit = fit_posterior(scores, prompt, Pairs(first, second, labels, weights), sigma)
    values, errors = fit.win_rates(np.zeros(1), 4)
    for each in (4, 1, 9):
        rows = np.flatnonzero(prompt == each)
        own = np.isin(first, rows)
        local = Pairs(first[own] - rows[0], second[own] - rows[0], labels[own], weights[own])
        mode, covariance = by_hand(scores[rows], local, sigma)
        np.testing.assert_allclose(fit.mean[rows], mode, rtol=0, atol=1e-10)
        spread = np.diag(covariance)[:, None] + np.diag(covariance) - 2 * covariance
        beats = expit((mode[:, None] - mode) / np.sqrt(1 + np.pi / 8 * spread))
        left, right = np.divmod(np.arange(len(rows) ** 2), len(rows))
        found = fit.beats(rows[left], rows[right])
        np.testing.assert_allclose(found, beats.ravel(), rtol=0, atol=1e-10)
        others = beats[~np.eye(len(rows), dtype=bool)].reshape(len(rows), -1)
        np.testing.assert_allclose(values[rows], others.mean(axis=1), rtol=0, atol=1e-10)
        expected = others.std(axis=1, ddof=1) / np.sqrt(others.shape[1])
        np.testing.assert_allclose(errors[rows], expected, rtol=0, atol=1e-10)


def test_a_weight_counts_like_as_many_votes() -> None:
    scores, prompt, pairs = world(1.0, prompts=4)
    weights = np.where(np.arange(len(pairs.first)) % 3 == 0, 2.0, 1.0)
    again = np.repeat(np.arange(len(weights)), weights.astype(int))
    repeated = Pairs(
        pairs.first[again], pairs.second[again], pairs.labels[again], np.ones(len(again))
    )
    weighed = Pairs(pairs.first, pairs.second, pairs.labels, weights)
    np.testing.assert_allclose(
        fit_posterior(scores, prompt, weighed, 1.0).mean,
        fit_posterior(scores, prompt, repeated, 1.0).mean,
    )


def test_comparisons_of_every_prompt_are_dealt_out_evenly() -> None:
    prompts = np.repeat([4, 1, 7], [9, 1, 14])
    folds = comparison_folds(prompts, 4, np.random.default_rng(2))
    for prompt in (4, 1, 7):
        counts = np.bincount(folds[prompts == prompt], minlength=4)
        assert counts.max() - counts.min() <= 1
    assert len(set(comparison_folds(np.arange(40), 4, np.random.default_rng(2)))) == 4


def flipped(pairs: Pairs, chosen: np.ndarray) -> Pairs:
    return Pairs(
        pairs.first, pairs.second, np.where(chosen, 1 - pairs.labels, pairs.labels), pairs.weights
    )


def test_a_folds_own_labels_move_neither_its_predictions_nor_its_win_rates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(own_labels, "SIGMAS", (0.0, 1.0))
    scores, prompt, pairs = world(1.0, prompts=40)
    folds = comparison_folds(prompt[pairs.first], 4, np.random.default_rng(1))
    before = fit_own_labels(scores, prompt, pairs, folds, 4)
    some = (folds == 2) & (np.random.default_rng(0).random(len(folds)) < 0.1)
    after = fit_own_labels(scores, prompt, flipped(pairs, some), folds, 4)
    assert before.without is not None and after.without is not None
    np.testing.assert_array_equal(after.predictions[folds == 2], before.predictions[folds == 2])
    np.testing.assert_array_equal(after.without[2], before.without[2])
    assert not np.allclose(after.predictions[folds == 1], before.predictions[folds == 1])
    assert not np.allclose(after.win_rates, before.win_rates)
    seen = [
        fit_posterior(scores, prompt, p, 1.0).beats(pairs.first[some], pairs.second[some])
        for p in (pairs, flipped(pairs, some))
    ]
    assert np.abs(seen[0] - seen[1]).min() > 0.01, "a fit that saw the labels does move"


def tables(missing: bool = False) -> tuple[pd.DataFrame, pd.DataFrame, CrossFit]:
    """Prompts of eight answers, two objectives that people judge by more than words; a fit of the words."""
    scores, prompt, pairs = world(1.0, prompts=60)
    other, _, more = world(0.0, prompts=60, seed=1)
    responses = pd.DataFrame(
        {
            "prompt_id": prompt.astype(str),
            "response_id": [f"r{i}" for i in range(len(prompt))],
            "prompt": prompt.astype(str),
            "response": [f"answer {i}" for i in range(len(prompt))],
            "split": np.where(prompt < 50, "train", "test"),
        }
    )
    labels = np.column_stack([pairs.labels, more.labels])
    if missing:
        labels[::5, 0] = np.nan
    comparisons = pd.DataFrame(
        {
            "prompt_id": prompt[pairs.first].astype(str),
            "response_a": [f"r{i}" for i in pairs.first],
            "response_b": [f"r{i}" for i in pairs.second],
            "split": np.where(prompt[pairs.first] < 50, "train", "test"),
        }
    )
    comparisons[list(NAMES)] = labels
    comparisons[weight_columns(NAMES)] = 1.0 - np.isnan(labels)
    rewards = np.column_stack([scores, other])

    class ReadsAll(EncoderFeatures):
        def read_in_part(self, prompts: list[str], responses: list[str]) -> NDArray[np.bool_]:
            return np.zeros(len(responses), dtype=np.bool_)

    class Model:
        temperature = np.ones(2)
        features = ReadsAll("of whatever kind", 8)

    model: Any = Model()
    words = expit(rewards[pairs.first] - rewards[pairs.second])
    return responses, comparisons, CrossFit(model, rewards, prompt % 4, words)


def estimated(monkeypatch: pytest.MonkeyPatch, method: str, **given: Any) -> WinRateEstimate:
    responses, comparisons, fit = tables(**given)
    monkeypatch.setattr(
        estimate, "cross_fit", lambda *_, **__: fit._replace(predictions=fit.predictions.copy())
    )
    return estimate_win_rates(
        responses, comparisons, WinRateParams.model_validate({"method": method}), NAMES, 0
    )


def test_only_training_responses_take_their_own_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    words = estimated(monkeypatch, "preference_model", missing=True)
    both = estimated(monkeypatch, "posterior", missing=True)
    test = (both.win_rates["split"] == "test").to_numpy()
    names = list(NAMES)
    np.testing.assert_array_equal(both.win_rates.loc[test, names], words.win_rates.loc[test, names])
    moved = (both.win_rates[names] - words.win_rates[names]).abs().loc[~test].max()
    assert moved["good"] > 0.1
    assert moved["brief"] < 0.1
    held = both.predictions["fold"].to_numpy() < 0
    assert held.sum() == 10 * 28
    np.testing.assert_array_equal(
        both.predictions.loc[held, names], words.predictions.loc[held, names]
    )
    assert both.predictions[names].notna().all(axis=None)


def test_the_report_says_what_peoples_labels_add(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        told = estimated(monkeypatch, "posterior").metrics["objectives"]
    own = told["good"]["own_labels"]
    assert own["sigma"] in (0.5, 1.0, 2.0)
    assert own["log_loss"] < own["log_loss_words"] - 0.01
    assert own["log_losses"]["0"] == own["log_loss_words"]
    assert "good: people's labels add" in caplog.text
    assert told["brief"]["own_labels"]["log_loss"] <= told["brief"]["own_labels"]["log_loss_words"]
