"""One comparison per pair of responses, with one label per objective."""

import logging

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionArray

from mopo_pipeline.alike import (
    codes_of,
    first_equal,
    first_of_each,
    positions,
    said_alike,
    text_hashes,
)
from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.paged import repeated, taken
from mopo_pipeline.parameters.preferences import LabelParams
from mopo_pipeline.tables import SCORE_PREFIX, weight_columns

log = logging.getLogger(__name__)

ROUNDING = 1e-9
"""Two ratings this close, relative to their size, differ by how decimals are stored in binary."""


def build_comparisons(
    responses: pd.DataFrame,
    judgements: pd.DataFrame,
    params: LabelParams,
    objectives: tuple[str, ...],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Comparisons from native labels or from ratings, votes merged, one row per pair.

    Returns:
        prompt_id, response_a, response_b, split, one column per objective (1 a wins, 0 b wins, .5
        tie, NaN missing), one ``<objective>_weight`` each (0 where the label is missing), and
        ``annotator``, empty where it is not known or several said one label.

    Raises:
        InputError: no source of labels, or an objective without a single decided comparison.
    """
    if _origin(responses, judgements, params) == "judgements":
        table = merge_votes(judgements, objectives, params.votes)
    else:
        table = compare_ratings(responses, objectives, params, rng)
    known = positions(table["prompt_id"], responses["prompt_id"])
    split_of, splits = pd.factorize(responses["split"])
    said = pd.Series(taken(pd.Series(splits, dtype="str"), np.maximum(split_of[known], 0)))
    table.insert(3, "split", (said if (known >= 0).all() else said.where(known >= 0)).array)
    if "annotator" not in table:
        table["annotator"] = repeated("", len(table))
    _refuse_undecided(table, objectives)
    return table


def compare_ratings(
    responses: pd.DataFrame,
    objectives: tuple[str, ...],
    params: LabelParams,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Compare every pair of rated responses to a prompt, at most ``max_pairs_per_prompt`` of them.

    Two ratings no further apart than the objective's tie margin are a tie, decimals compared as
    they are written: 4.0 and 4.1 tie at a margin of .1, as 4.1 and 4.2 do. A missing rating leaves
    the label of its objective missing; responses that no objective can compare make no pair, nor do two of one text.
    """
    columns = [SCORE_PREFIX + name for name in objectives]
    absent = [c for c in columns if c not in responses]
    if absent:
        known = [c for c in responses.columns if c.startswith(SCORE_PREFIX)]
        raise InputError(
            f"no ratings for {absent[0].removeprefix(SCORE_PREFIX)!r}; rated are {known}"
        )
    if isinstance(params.tie_margin, dict) and (
        unknown := sorted(set(params.tie_margin) - set(objectives))
    ):
        raise InputError(
            f"preferences.labels.tie_margin names {unknown}, but the objectives are {list(objectives)}"
        )
    margins = np.array([tie_margin(params, name) for name in objectives])
    ids = responses["response_id"].to_numpy()
    ratings = responses[columns].to_numpy(dtype=np.float64)
    rated, said, parts, drawn = ~np.isnan(ratings), text_hashes(responses["response"]), [], 0
    most = params.max_pairs_per_prompt
    for prompt_id, rows in responses.groupby("prompt_id", sort=False).indices.items():
        own = np.asarray(rows, dtype=np.intp)
        pairs = own[_pairs_of(rated[own], said[own], most, rng)]
        drawn += len(pairs) == most < len(own) * (len(own) - 1) // 2
        labels = compare(ratings[pairs[:, 0]], ratings[pairs[:, 1]], margins)
        labelled = dict(zip(objectives, labels.T, strict=True))
        weights = dict(zip(weight_columns(objectives), 1.0 - np.isnan(labels.T), strict=True))
        part = pd.DataFrame(
            {"prompt_id": prompt_id, "response_a": ids[pairs[:, 0]], "response_b": ids[pairs[:, 1]]}
        )
        parts.append(part.assign(**labelled, **weights))
    table = pd.concat(parts, ignore_index=True)
    if drawn:
        log.info(
            "of the answers to %d prompts %d pairs each are compared, drawn from all "
            "(preferences.labels.max_pairs_per_prompt)",
            drawn,
            most,
        )
    if table.empty:
        raise InputError(
            "no prompt has two responses, so there is nothing to compare: add responses, or check "
            "that equal prompts share a prompt_id"
        )
    return table


def _pairs_of(
    rated: NDArray[np.bool_], said: NDArray[np.int64], most: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Positions (P, 2), first below second, of pairs of n responses that some objective can compare; at most so many, drawn.

    Of thousands of responses all pairs are more than memory holds; they are listed only where ratings are missing or
    texts are said twice.

    Args:
        rated: (n, K) which ratings there are.
        said: (n,) codes of the texts; one text is not compared with itself.
        most: pairs kept.
        rng: draws them.
    """
    size = len(rated)
    count = size * (size - 1) // 2
    if count <= most or not rated.all(axis=0).any() or len(np.unique(said)) < size:
        first, second = np.triu_indices(size, 1)
        compared = (rated[first] & rated[second]).any(axis=1) & (said[first] != said[second])
        pairs = np.column_stack([first[compared], second[compared]])
        if len(pairs) <= most:
            return pairs
        return pairs[np.sort(rng.choice(len(pairs), most, replace=False))]
    drawn = np.sort(rng.choice(count, most, replace=False))
    starts = np.cumsum(np.append(0, np.arange(size - 1, 0, -1)))
    first = np.searchsorted(starts, drawn, side="right") - 1
    return np.column_stack([first, drawn - starts[first] + first + 1])


def compare(first: Array, second: Array, margins: Array | float) -> Array:
    """Labels of ratings: 1 the first is higher, 0 the second, .5 within the margin, NaN unknown.

    Args:
        first: (M, K) or (M,) ratings of any scale, NaN missing.
        second: ratings to compare with, of the same shape.
        margins: >= 0, the largest difference that is a tie, broadcast over the last axis.
    """
    gap = first - second
    rounding = ROUNDING * np.maximum(1.0, np.maximum(np.abs(first), np.abs(second)))
    labels = np.where(np.abs(gap) <= margins + rounding, 0.5, np.where(gap > 0, 1.0, 0.0))
    return np.where(np.isnan(gap), np.nan, labels)


def merge_votes(judgements: pd.DataFrame, objectives: tuple[str, ...], votes: str) -> pd.DataFrame:
    """One row per unordered pair: labels averaged over votes by weight, or decided by majority.

    A vote for (b, a) counts as the mirrored vote for (a, b). A missing label does not vote, so each
    objective has a weight of its own: the sum of its own votes' weights. ``annotator`` is who gave all the votes of a
    pair, empty where there were several or nobody has a name.
    """
    flipped = (judgements["response_a"] > judgements["response_b"]).to_numpy()
    pair_of, first, ends = _pairs(judgements, flipped)
    merged: dict[str, ExtensionArray | Array] = {
        "prompt_id": taken(judgements["prompt_id"], first),
        "response_a": ends[0],
        "response_b": ends[1],
    }
    weight = judgements["weight"].to_numpy(dtype=np.float64)
    masses = {}
    for name, mass in zip(objectives, weight_columns(objectives), strict=True):
        label = judgements[name].to_numpy(dtype=np.float64)
        mean, masses[mass] = _said(np.where(flipped, 1.0 - label, label), weight, pair_of)
        merged[name] = compare(mean, np.full_like(mean, 0.5), 0.0) if votes == "majority" else mean
    who: ExtensionArray | Array = repeated("", len(first))
    if "annotator" in judgements and judgements["annotator"].any():
        of_pair = judgements["annotator"].groupby(pair_of)
        who = of_pair.first().where(of_pair.nunique() == 1, "").array
    return pd.DataFrame({**merged, **masses, "annotator": who})


def _said(label: Array, weight: Array, pair_of: NDArray[np.intp]) -> tuple[Array, Array]:
    """Mean label (m,), NaN without one, and weight (m,) of each pair, of labels, weights and pairs (n,)."""
    present = ~np.isnan(label)
    total, mass = np.where(present, label * weight, 0.0), present * weight
    if (pair_of != np.arange(len(pair_of))).any():
        votes = pd.DataFrame({"total": total, "mass": mass}).groupby(pair_of).sum()
        total, mass = votes["total"].to_numpy(), votes["mass"].to_numpy()
    return np.divide(total, mass, out=np.full(len(mass), np.nan), where=mass > 0), mass


def _pairs(
    judgements: pd.DataFrame, flipped: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp], list[ExtensionArray]]:
    """Which unordered pair each judgement (n,) is of.

    Args:
        judgements: prompt_id, response_a and response_b.
        flipped: which rows (n,) name their pair the other way round.

    Returns:
        Codes (n,) of the pairs by first appearance, the first row (m,) of each, and its two ids.
    """
    prompt_of = said_alike(judgements["prompt_id"])
    a, b = judgements["response_a"], judgements["response_b"]
    ends = pd.concat([a, b], ignore_index=True)
    places = positions(ends, ends).reshape(2, -1)
    couples = np.where(flipped, places[1], places[0])
    couples *= len(ends)
    couples += np.where(flipped, places[0], places[1])
    del places
    couples = first_equal(couples)
    couples *= int(prompt_of.max()) + 1
    couples += prompt_of
    pair_of = codes_of(first_equal(couples))
    first = np.flatnonzero(first_of_each(pair_of))
    one, other = (pd.Series(taken(side, first)) for side in (a, b))
    turned = flipped[first]
    if turned.any():
        one, other = one.mask(turned, other), other.mask(turned, one)
    return pair_of, first, [one.array, other.array]


def tie_margin(params: LabelParams, objective: str) -> float:
    """The rating difference up to which two responses tie."""
    if isinstance(params.tie_margin, dict):
        return params.tie_margin.get(objective, 0.0)
    return params.tie_margin


def _origin(responses: pd.DataFrame, judgements: pd.DataFrame, params: LabelParams) -> str:
    rated = any(c.startswith(SCORE_PREFIX) for c in responses.columns)
    if params.origin == "auto":
        if judgements.empty and not rated:
            raise InputError(
                "the source gives neither pairwise labels nor ratings; nothing to compare"
            )
        if rated and not judgements.empty:
            log.warning(
                "there are labels of pairs and ratings, and the ratings are not used (preferences.labels.origin)"
            )
        return "ratings" if judgements.empty else "judgements"
    if params.origin == "judgements" and judgements.empty:
        raise InputError(
            "preferences.labels.origin is 'judgements', but the source has none; use 'ratings'"
        )
    return params.origin


def _refuse_undecided(table: pd.DataFrame, objectives: tuple[str, ...]) -> None:
    if table.empty:
        raise InputError("no prompt has two responses to compare; add responses")
    for name in objectives:
        labels = table.loc[table["split"] == "train", name].dropna()
        if labels.empty:
            raise InputError(
                f"objective {name!r} has no label in the training split; add labels or drop it "
                "from task.objectives"
            )
        if (labels == 0.5).all():
            raise InputError(
                f"objective {name!r}: all {len(labels)} training comparisons are ties, so nothing can be "
                "learnt; lower preferences.labels.tie_margin or drop it from task.objectives"
            )
