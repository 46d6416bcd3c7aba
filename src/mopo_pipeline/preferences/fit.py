"""Cross-fitting: a row's reward never comes from a network that saw a label of its prompt, or of its prompt's group."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.preferences import PreferenceModelParams
from mopo_pipeline.preferences.calibration import fit_temperature
from mopo_pipeline.preferences.features import EncoderFeatures, Features, WordFeatures
from mopo_pipeline.preferences.model import PreferenceModel, standardise
from mopo_pipeline.preferences.networks import fit_network, linear_networks, rewards_of
from mopo_pipeline.progress import track
from mopo_pipeline.streams import Stream, fold_seed, generator
from mopo_pipeline.tables import comparison_weights, sampling_units

if TYPE_CHECKING:
    import torch

_STOP_SHARE = 0.15


class CrossFit(NamedTuple):
    """A fitted model with what it says about the rows, out of fold where they were trained on.

    Attributes:
        model: the ensemble of fold networks, for new text.
        rewards: (n, K) calibrated rewards, one row per response.
        folds: (n,) fold of each response; -1 outside the fitted split.
        predictions: (M, K) p(a beats b) per comparison.
    """

    model: PreferenceModel
    rewards: Array
    folds: NDArray[np.intp]
    predictions: Array


def cross_fit(
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    objectives: tuple[str, ...],
    params: PreferenceModelParams,
    seed: int,
    split: str = "train",
) -> CrossFit:
    """Fit one network per fold of prompts, or of groups of them, of ``split``; other splits get the ensemble's mean.

    Raises:
        InputError: fewer prompts or groups with comparisons than folds.
    """
    rng = generator(seed, Stream.FOLDS)
    prompts, texts = responses["prompt"].tolist(), responses["response"].tolist()
    features = _features(prompts, texts, responses["split"] == split, params)
    table = features(prompts, texts)
    fitted = (responses["split"] == split).to_numpy()
    scale = _scale(table[fitted])
    standardised = standardise(table, scale)
    index = pd.Series(np.arange(len(responses)), index=responses["response_id"])
    pairs = np.column_stack(
        [index.loc[comparisons[c]].to_numpy() for c in ("response_a", "response_b")]
    )
    labels = comparisons[list(objectives)].to_numpy(dtype=np.float64)
    weights = comparison_weights(comparisons, objectives)
    chosen = (comparisons["split"] == split).to_numpy()
    units = responses["prompt_id"].map(sampling_units(responses))
    compared = units.to_numpy()[pairs[chosen, 0]]
    fold_of = _folds(pd.Series(compared), params.folds, rng)
    folds = np.where(fitted, units.map(fold_of).fillna(-1), -1).astype(np.intp)
    known = pairs[chosen], labels[chosen], weights[chosen]
    if params.hidden:
        members = _networks(
            standardised, *known, folds[pairs[chosen, 0]], compared, params, seed, rng
        )
    else:
        members = linear_networks(standardised, *known, folds[pairs[chosen, 0]])
    rewards = np.stack([rewards_of(member, standardised) for member in members])
    raw = np.where(
        (folds >= 0)[:, None],
        rewards[np.maximum(folds, 0), np.arange(len(responses))],
        rewards.mean(axis=0),
    )
    gap = raw[pairs[:, 0]] - raw[pairs[:, 1]]
    temperature = np.array(
        [
            fit_temperature(gap[chosen, k], labels[chosen, k], weights[chosen, k])
            for k in range(len(objectives))
        ]
    )
    model = PreferenceModel(objectives, features, members, scale, temperature, params.hidden)
    return CrossFit(model, raw * temperature, folds, expit(gap * temperature))


def _networks(
    table: Features,
    pairs: Index,
    labels: Array,
    weights: Array,
    folds: NDArray[np.intp],
    units: NDArray[np.object_],
    params: PreferenceModelParams,
    seed: int,
    rng: np.random.Generator,
) -> list["torch.nn.Module"]:
    """Networks with hidden layers, one per fold of comparisons (M,) that it does not see; some units (M,) tell when to stop."""
    members = []
    for fold in track(range(params.folds), "preference model, folds"):
        use = np.flatnonzero(folds != fold)
        stop = np.isin(units[use], _stop_units(pd.Series(units[use]), rng))
        members.append(
            fit_network(
                table, pairs[use], labels[use], weights[use], stop, params, fold_seed(seed, fold)
            )
        )
    return members


def _features(
    prompts: list[str], responses: list[str], fitted: pd.Series, params: PreferenceModelParams
) -> WordFeatures | EncoderFeatures:
    if params.features == "words":
        rows = np.flatnonzero(fitted.to_numpy())
        return WordFeatures.fit(
            [prompts[i] for i in rows], [responses[i] for i in rows], params.max_words
        )
    if params.encoder is None:
        raise InputError(
            "preferences.win_rates.model.features is 'encoder', so model.encoder must name one"
        )
    return EncoderFeatures(params.encoder, params.max_length)


def _scale(table: Features) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and deviation (F,) to standardise features (n, F) with; counts of words are left as they are."""
    size = table.shape[1]
    if not isinstance(table, np.ndarray):
        return np.zeros(size, dtype=np.float32), np.ones(size, dtype=np.float32)
    return table.mean(axis=0), np.maximum(table.std(axis=0), 1e-6)


def _folds(units: pd.Series, folds: int, rng: np.random.Generator) -> dict[str, int]:
    unique = units.drop_duplicates().to_numpy()
    if len(unique) < folds:
        raise InputError(
            f"{len(unique)} training prompts, or groups of them, have comparisons, fewer than the {folds} folds of cross-fitting; "
            "add prompts or set preferences.win_rates.method to empirical"
        )
    return dict(zip(rng.permutation(unique), np.arange(len(unique)) % folds, strict=True))


def _stop_units(units: pd.Series, rng: np.random.Generator) -> NDArray[np.object_]:
    """Prompts or groups of them (u,) that tell when to stop."""
    unique = units.drop_duplicates().to_numpy()
    return rng.permutation(unique)[: round(len(unique) * _STOP_SHARE)]
