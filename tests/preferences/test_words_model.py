"""The words model: what it sees of an answer, and rewards fitted to the end."""

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit

from mopo_pipeline.preferences.features import WordFeatures, features_from_state
from mopo_pipeline.preferences.networks import PENALTIES, linear_networks, rewards_of
from mopo_pipeline.tables import chat_prompt

PROMPTS = [chat_prompt("Is tea hot?")] * 4
ANSWERS = ["not hot", "hot not", "hot not", "not hot tea tea"]


def test_the_same_words_in_another_order_are_another_answer() -> None:
    features = WordFeatures.fit(PROMPTS, ANSWERS, 50)
    table = features(PROMPTS, ANSWERS).toarray()
    words = 2 * len(features.vocabulary)
    np.testing.assert_array_equal(table[0, :words], table[1, :words])
    assert np.abs(table[0] - table[1]).max() == 1.0
    assert "hot not" in features.bigrams
    assert "hot tea" not in features.bigrams, "a pair of words of a single answer is not known"


def test_length_and_overlap_with_the_prompt_stand_last() -> None:
    features = WordFeatures.fit(PROMPTS, ANSWERS, 50)
    table = features([*PROMPTS[:3], chat_prompt("x")], [*ANSWERS[:2], "", ANSWERS[3]]).toarray()
    np.testing.assert_allclose(table[:, -2], np.log1p([2, 2, 0, 4]), rtol=1e-6)
    np.testing.assert_allclose(table[:, -1], [0.5, 0.5, 0.0, 0.0])


def test_features_are_rebuilt_from_their_description() -> None:
    features = WordFeatures.fit(PROMPTS, ANSWERS, 50)
    again = features_from_state(features.state())
    assert again == features


def comparisons(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sixty answers with five features, 400 labelled pairs of two objectives, weights, four folds."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(60, 5)).astype(np.float32)
    pairs = np.array([rng.choice(60, 2, replace=False) for _ in range(400)])
    gap = np.diff(-(table @ rng.normal(size=(5, 2)))[pairs], axis=1)[:, 0]
    labels = (rng.random((400, 2)) < expit(gap)).astype(float)
    labels[::9, 1] = np.nan
    return table, pairs, labels, rng.exponential(size=(400, 2)), np.arange(400) % 4


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_linear_rewards_minimise_the_penalised_loss_of_the_other_folds(kind: str) -> None:
    """Against a minimiser without derivatives, at every penalty there is: one of them must fit."""
    table, pairs, labels, weights, folds = comparisons(0)
    given = table if kind == "dense" else sparse.csr_matrix(table)
    network = linear_networks(given, pairs, labels, weights, folds)[2]
    use = (folds != 2) & ~np.isnan(labels[:, 1])
    mass = weights[use, 1] / weights[use, 1].sum()

    def loss(beta: np.ndarray, penalty: float) -> float:
        gap = np.diff(-(table @ beta)[pairs[use]], axis=1)[:, 0]
        each = np.logaddexp(0.0, gap) - labels[use, 1] * gap
        return float(mass @ each + penalty / 2 * beta @ beta)

    oracles = [table @ minimize(loss, np.zeros(5), (penalty,)).x for penalty in PENALTIES]
    found = rewards_of(network, given)[:, 1]
    assert min(np.abs(found - oracle).max() for oracle in oracles) < 0.01


def test_a_folds_labels_do_not_move_the_rewards_that_leave_it_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table, pairs, labels, weights, folds = comparisons(1)
    flipped = labels.copy()
    flipped[np.flatnonzero(folds == 1)[:8]] = 1 - flipped[np.flatnonzero(folds == 1)[:8]]
    before, after = (linear_networks(table, pairs, y, weights, folds) for y in (labels, flipped))
    assert "preference model, objectives" in capsys.readouterr().out
    np.testing.assert_array_equal(rewards_of(after[1], table), rewards_of(before[1], table))
    assert np.abs(rewards_of(after[0], table) - rewards_of(before[0], table)).max() > 1e-3
