"""The labelled comparisons of the test split as arrays, and ratios of their sums with intervals."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.errors import InputError
from mopo_pipeline.evaluation.annotators import with_annotators
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.pareto.intervals import Interval, prompt_bootstrap, sum_by
from mopo_pipeline.plan.problem import annotators_of, even_weights
from mopo_pipeline.sampling_units import sampling_units
from mopo_pipeline.tables import comparison_weights


@dataclass(frozen=True)
class LabelledSplit:
    """Comparisons of the test split as arrays.

    Attributes:
        responses: the n test responses.
        first: (M,) row of each comparison's first response.
        second: (M,) row of its second response.
        labels: (M, K) in [0, 1], NaN missing.
        weights: (M, K), 0 where the label is missing.
        log_ratio: (n,) log pi - log pi_ref, nats.
        prompts: (n,) prompt of each response, from 0.
        units: (n,) what its prompt was drawn with, from 0; the prompt itself where it was drawn alone.
        annotators: (M,) who labelled each comparison, -1 unknown.
    """

    responses: pd.DataFrame
    first: Index
    second: Index
    labels: Array
    weights: Array
    log_ratio: Array
    prompts: Index
    units: Index
    annotators: Index

    def by_unit(self, terms: Array) -> Array:
        """Sums of per-comparison terms (M, K) over units, (U, K)."""
        return sum_by(terms, self.units[self.first], int(self.units.max()) + 1)

    @property
    def even_weights(self) -> Array:
        """Weights (M, K) that sum to 1 in each prompt with labels, so that no prompt speaks louder for having more of them."""
        return even_weights(self.weights, self.prompts[self.first])

    def ratio(
        self, top: Array, mass: Array, params: EvaluateParams, rng: np.random.Generator
    ) -> Interval:
        """Ratios of the sums of ``top`` and ``mass`` (M, K), with what units and annotators leave uncertain."""
        interval = prompt_bootstrap(
            self.by_unit(top),
            self.by_unit(mass),
            confidence=params.confidence,
            draws=params.bootstrap,
            rng=rng,
        )
        return with_annotators(interval, top, mass, self.units[self.first], self.annotators)


def labelled_split(
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    logprobs: pd.DataFrame,
    objectives: tuple[str, ...],
) -> LabelledSplit | None:
    """The test split's comparisons; None where it has none.

    Raises:
        InputError: a test response without a finite log-probability.
    """
    test = responses.loc[responses["split"] == "test"].reset_index(drop=True)
    pairs = comparisons.loc[comparisons["split"] == "test"].reset_index(drop=True)
    if pairs.empty:
        return None
    known = logprobs.set_index("response_id").reindex(test["response_id"])
    gap = (known["logprob_policy"] - known["logprob_reference"]).to_numpy(dtype=np.float64)
    if not np.isfinite(gap).all():
        row = int(np.flatnonzero(~np.isfinite(gap))[0])
        raise InputError(
            f"test_logprobs: response {test['response_id'].iloc[row]!r} has a log-ratio of "
            f"{gap[row]}; run kedro run --nodes=evaluate.score_test_split"
        )
    place = pd.Series(np.arange(len(test)), index=test["response_id"])
    labels = pairs[list(objectives)].to_numpy(dtype=np.float64)
    annotators = annotators_of(pairs)
    return LabelledSplit(
        responses=test,
        first=place.loc[pairs["response_a"]].to_numpy(),
        second=place.loc[pairs["response_b"]].to_numpy(),
        labels=labels,
        weights=np.where(np.isnan(labels), 0.0, comparison_weights(pairs, objectives)),
        log_ratio=gap,
        prompts=pd.factorize(test["prompt_id"])[0].astype(np.int64),
        units=pd.factorize(test["prompt_id"].map(sampling_units(responses)))[0].astype(np.int64),
        annotators=np.full(len(pairs), -1) if annotators is None else annotators,
    )
