"""Win rates: how often a response beats what the behaviour policy would have said (``method.md`` section 3)."""

import logging
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.language.reading import count_read_in_part, told_in_part
from mopo_pipeline.parameters.base import OF_MODEL, WITHOUT_FOLD
from mopo_pipeline.parameters.preferences import WinRateParams
from mopo_pipeline.preferences.baselines import STRONGER, TOO_WEAK, against_baselines
from mopo_pipeline.preferences.calibration import calibration
from mopo_pipeline.preferences.cycles import circling, fit_cycles, no_cycles
from mopo_pipeline.preferences.features import EncoderFeatures, WordFeatures
from mopo_pipeline.preferences.fit import CrossFit, cross_fit
from mopo_pipeline.preferences.learning_curve import learning_curve, told
from mopo_pipeline.preferences.model import PreferenceModel
from mopo_pipeline.preferences.own_labels import comparison_folds, fit_own_labels
from mopo_pipeline.preferences.posterior import Pairs
from mopo_pipeline.progress import track
from mopo_pipeline.sampling_units import sampling_units
from mopo_pipeline.streams import Stream, generator
from mopo_pipeline.tables import PAIR_COLUMNS, SPLITS, comparison_weights

log = logging.getLogger(__name__)

MANY_UNKNOWN = 0.1
"""Share of words never seen above which what is said of new answers rests on the others."""


class WinRateEstimate(NamedTuple):
    """Win rates per response, predictions per comparison, the model if there is one, its metrics."""

    win_rates: pd.DataFrame
    predictions: pd.DataFrame
    model: PreferenceModel | None
    metrics: dict[str, Any]


def estimate_win_rates(
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    params: WinRateParams,
    objectives: tuple[str, ...],
    seed: int,
) -> WinRateEstimate:
    """Estimate every response's win rate against the behaviour policy, per objective.

    ``preference_model`` averages the cross-fitted model over the other responses to the prompt;
    ``posterior`` adds to it, for training responses, what the labels of their own comparisons say;
    ``empirical`` averages labels over compared responses, shrunk to .5; ``label`` takes one label
    as it is (the published plug-in, for comparison).
    """
    if params.method in ("empirical", "label"):
        values, errors = label_win_rates(responses, comparisons, params, objectives)
        blank = np.full((len(comparisons), len(objectives)), np.nan)
        return WinRateEstimate(
            _table(responses, np.full(len(responses), -1), values, errors, objectives),
            _named(comparisons[list(PAIR_COLUMNS)], blank, objectives),
            None,
            {"method": params.method, "objectives": {}, "findings": []},
        )
    fit = cross_fit(responses, comparisons, objectives, params.model, seed, curve=True)
    cycles = no_cycles(fit)
    if params.cycles == "auto":
        cycles = fit_cycles(responses, comparisons, fit, objectives, seed)
        fit = fit._replace(predictions=cycles.predictions)
    prompts, fewest = responses["prompt_id"], params.min_opponents
    values, errors = model_win_rates(fit.rewards, prompts, fewest, cycles.turns)
    said = _Said(values, errors, fit.predictions, np.full(len(comparisons), -1), {}, {})
    if params.method == "posterior":
        said = _with_own_labels(said, responses, comparisons, fit.rewards, params, objectives, seed)
    labels = comparisons[list(objectives)].to_numpy(dtype=np.float64)
    train = (comparisons["split"] == "train").to_numpy()
    gap = _length_gap(responses, comparisons)
    units = pd.factorize(comparisons["prompt_id"].map(sampling_units(responses)))[0]
    measured = {}
    for k, name in enumerate(objectives):
        y = labels[train, k]
        held = against_baselines(fit.predictions[train, k], y, gap[train], units[train])
        measured[name] = calibration(said.predictions[train, k], y) | {"baselines": held}
        curve = learning_curve({s: p[:, k] for s, p in fit.by_share.items()}, y, units[train])
        measured[name] |= {"temperature": float(fit.model.temperature[k])} | said.told.get(name, {})
        measured[name] |= {"learning_curve": curve} | cycles.told.get(name, {})
        _tell(name, held, curve)
    of_model = tuple(f"{name}{OF_MODEL}" for name in objectives)
    table = _table(responses, fit.folds, said.values, said.errors, objectives)
    table = _named(table, values, of_model)
    pairs = comparisons[list(PAIR_COLUMNS)].assign(fold=said.folds)
    pairs = _named(pairs, fit.predictions, of_model)
    return WinRateEstimate(
        table.assign(**said.without),
        _named(pairs, said.predictions, objectives),
        fit.model,
        {"method": params.method, "objectives": measured}
        | {"features": _features_told(fit), "unknown_words": _unknown_words(responses, fit.model)}
        | _read_in_part(responses, fit.model),
    )


def _features_told(fit: CrossFit) -> dict[str, Any]:
    """Which features were taken, and the log loss on folds left out of all that were tried."""
    taken = fit.model.features.label
    if len(fit.losses) > 1:
        shown = ", ".join(f"{name} {loss:.4f}" for name, loss in fit.losses.items())
        log.info("preference model on %s: log loss on folds left out %s", taken, shown)
    return {"taken": taken, "log_loss": dict(fit.losses)}


def _unknown_words(responses: pd.DataFrame, model: PreferenceModel) -> float | None:
    """Share of words outside a words model's vocabulary in answers of validation and test split; None of an encoder."""
    if not isinstance(model.features, WordFeatures):
        return None
    texts = responses.loc[responses["split"] != "train", "response"].tolist()
    share = model.features.unknown_share(texts)
    level = logging.WARNING if share > MANY_UNKNOWN else logging.INFO
    log.log(
        level,
        "%.1f%% of the words of new answers were never seen by the preference model",
        100 * share,
    )
    return share


def _read_in_part(responses: pd.DataFrame, model: PreferenceModel) -> dict[str, Any]:
    """What an encoder reads in part by split, None of words, with what is to be told of it."""
    counts = None
    if isinstance(model.features, EncoderFeatures):
        met = {split: responses.loc[responses["split"] == split] for split in SPLITS}
        counts = count_read_in_part(model.features.read_in_part, met)
    told = told_in_part("encoder of win rates", counts)
    return {"read_in_part": counts, "findings": [found.as_dict() for found in told]}


def _tell(name: str, held: dict[str, Any], curve: dict[str, Any]) -> None:
    """Log a verdict that a user should know of, and the curve; that an objective is length may be what is meant."""
    if curve:
        log.info("%s: %s", name, told(curve))
    verdict = held.get("verdict", STRONGER)
    if verdict != STRONGER:
        level = logging.WARNING if verdict == TOO_WEAK else logging.INFO
        log.log(level, "%s: the preference model %s (baselines in its metrics)", name, verdict)


def _length_gap(responses: pd.DataFrame, comparisons: pd.DataFrame) -> Array:
    """Log words of the first response less those of the second, (M,)."""
    words = [np.log1p(len(text.split())) for text in responses["response"]]
    of = pd.Series(words, index=responses["response_id"])
    first, second = (of.loc[comparisons[c]].to_numpy() for c in ("response_a", "response_b"))
    return np.asarray(first - second)


class _Said(NamedTuple):
    """Win rates and errors (n, K), predictions (M, K), fold of each comparison (M,); -1 in none.

    ``without`` holds columns (n,) from the labels outside each fold, ``told`` what labels add, by objective.
    """

    values: Array
    errors: Array
    predictions: Array
    folds: Index
    without: dict[str, Array]
    told: dict[str, dict[str, Any]]


def _with_own_labels(
    words: _Said,
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    rewards: Array,
    params: WinRateParams,
    objectives: tuple[str, ...],
    seed: int,
) -> _Said:
    """What ``words`` says (rewards (n, K)), and of training responses what the labels of their own comparisons add."""
    rows = (responses["split"] == "train").to_numpy()
    train = (comparisons["split"] == "train").to_numpy()
    place = pd.Series(np.arange(rows.sum()), index=responses.loc[rows, "response_id"])
    first, second = (
        place.loc[comparisons.loc[train, side]].to_numpy().astype(np.int64)
        for side in ("response_a", "response_b")
    )
    labels = comparisons.loc[train, list(objectives)].to_numpy(dtype=np.float64)
    weights = comparison_weights(comparisons.loc[train], objectives)
    prompts = pd.factorize(responses.loc[rows, "prompt_id"])[0].astype(np.int64)
    dealt = comparison_folds(
        prompts[first], params.label_folds, generator(seed, Stream.LABEL_FOLDS)
    )
    values, errors = words.values.copy(), words.errors.copy()
    predictions, folds = words.predictions.copy(), words.folds.copy()
    folds[train] = dealt
    without: dict[str, Array] = {}
    told: dict[str, dict[str, Any]] = {}
    for k in track(range(len(objectives)), "own labels, objectives"):
        name, pairs = objectives[k], Pairs(first, second, labels[:, k], weights[:, k])
        own = fit_own_labels(rewards[rows, k], prompts, pairs, dealt, params.min_opponents)
        values[rows, k], errors[rows, k] = own.win_rates, own.errors
        predictions[train, k] = own.predictions
        told[name] = {"own_labels": own.report()}
        log.info("%s", own.sentence(name))
        for j, column in enumerate(() if own.without is None else own.without):
            without[f"{name}{WITHOUT_FOLD}{j}"] = values[:, k].copy()
            without[f"{name}{WITHOUT_FOLD}{j}"][rows] = column
    return _Said(values, errors, predictions, folds, without, told)


def model_win_rates(
    rewards: Array, prompt_ids: pd.Series, min_opponents: int, turns: Array | None = None
) -> tuple[Array, Array]:
    """Mean of sigmoid(r - r') over the other responses to the prompt, with its standard error.

    Where a prompt has fewer than ``min_opponents`` others, opponents are drawn from the behaviour
    policy's spread as seen over all prompts: the prompt's mean reward plus every response's
    distance from its own prompt's mean.

    Args:
        rewards: (n, K) calibrated rewards.
        prompt_ids: n prompt ids.
        min_opponents: fewest opponents taken from the prompt itself.
        turns: (n, K, D) coordinates of what goes round (``Cycles``); against opponents of other prompts the mean over the
            prompt's own; None: nothing does.

    Returns:
        Win rates and standard errors, both (n, K).
    """
    values, errors = np.empty_like(rewards), np.empty_like(rewards)
    turns = np.zeros((*rewards.shape, 0)) if turns is None else turns
    indices = prompt_ids.reset_index(drop=True).groupby(prompt_ids.to_numpy(), sort=False).indices
    centred = rewards.copy()
    for rows in indices.values():
        centred[rows] -= rewards[rows].mean(axis=0)
    spread = centred[np.linspace(0, len(centred) - 1, min(len(centred), 256)).astype(int)]
    for rows in indices.values():
        own = rewards[rows]
        round_of = circling(turns[rows][:, None], turns[rows][None])
        beats = expit(own[:, None, :] - own[None, :, :] + round_of)
        others = ~np.eye(len(rows), dtype=bool)
        if len(rows) - 1 < min_opponents:
            shift = round_of.sum(axis=1, keepdims=True) / max(len(rows) - 1, 1)
            beats = expit(own[:, None, :] - (own.mean(axis=0) + spread)[None, :, :] + shift)
            others = np.ones(beats.shape[:2], dtype=bool)
        count = others.sum(axis=1)[:, None]
        mean = (beats * others[..., None]).sum(axis=1) / count
        variance = (((beats - mean[:, None, :]) ** 2) * others[..., None]).sum(axis=1) / np.maximum(
            count - 1, 1
        )
        values[rows], errors[rows] = mean, np.sqrt(variance / count)
    return values, errors


def label_win_rates(
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    params: WinRateParams,
    objectives: tuple[str, ...],
) -> tuple[Array, Array]:
    """Mean label over compared opponents and its error, both (n, K), shrunk by pseudo-ties; one label as it is for ``label``."""
    n, k = len(responses), len(objectives)
    index = pd.Series(np.arange(n), index=responses["response_id"])
    labels = comparisons[list(objectives)].to_numpy(dtype=np.float64)
    rows = np.concatenate(
        [index.loc[comparisons[c]].to_numpy() for c in ("response_a", "response_b")]
    )
    wins = np.concatenate([labels, 1.0 - labels])
    weight = np.where(
        np.isnan(wins), 0.0, np.tile(comparison_weights(comparisons, objectives), (2, 1))
    )
    if params.method == "label":
        first = np.full((n, k), np.nan)
        for row, win in zip(rows[::-1], wins[::-1], strict=True):
            first[row] = np.where(np.isnan(win), first[row], win)
        return np.nan_to_num(first, nan=0.5), np.full((n, k), 0.5)
    total, mass, squares = np.zeros((n, k)), np.zeros((n, k)), np.zeros((n, k))
    np.add.at(total, rows, np.nan_to_num(wins) * weight)
    np.add.at(mass, rows, weight)
    np.add.at(squares, rows, np.nan_to_num(wins) ** 2 * weight)
    kappa = params.shrinkage
    values = np.divide(
        total + 0.5 * kappa, mass + kappa, out=np.full((n, k), 0.5), where=mass + kappa > 0
    )
    mean = np.divide(total, mass, out=np.full((n, k), 0.5), where=mass > 0)
    variance = np.divide(squares, mass, out=np.full((n, k), 0.5), where=mass > 0) - mean**2
    errors = np.sqrt(np.maximum(variance, 1.0 / 12.0 * (mass < 2)) / np.maximum(mass, 1.0))
    return np.clip(values, 0.0, 1.0), errors


def _table(
    responses: pd.DataFrame,
    folds: NDArray[np.intp],
    values: Array,
    errors: Array,
    objectives: tuple[str, ...],
) -> pd.DataFrame:
    """Win rates (n, K) with errors (n, K) and folds (n,), by name."""
    identity = responses[["prompt_id", "response_id", "split"]]
    units = responses["prompt_id"].map(sampling_units(responses))
    table = _named(identity.assign(unit=units, fold=folds), values, objectives)
    return _named(table, errors, tuple(f"{name}_se" for name in objectives))


def _named(table: pd.DataFrame, values: Array, names: tuple[str, ...]) -> pd.DataFrame:
    """A table with values (n, K) as columns of these names."""
    columns = pd.DataFrame(values, columns=list(names))
    return pd.concat([table.reset_index(drop=True), columns], axis=1)
