"""Values of a front's policies by the labels of test answers: for judges that cannot tell one policy from another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.arrays import Array
from mopo_pipeline.evaluation.judge_quality import blindness, doubt
from mopo_pipeline.evaluation.labelled_split import LabelledSplit, labelled_split
from mopo_pipeline.evaluation.within_prompts import label_values_by_prompt
from mopo_pipeline.language.lengths import ended_column
from mopo_pipeline.mopo.labelled import share_carried
from mopo_pipeline.policies.valued import Policy
from mopo_pipeline.tables import comparison_weights


@dataclass(frozen=True)
class Labelled:
    """Test answers that people compared, every prompt with labels of every objective.

    Attributes:
        split: their comparisons, at log-ratios of 0.
        reference: policy the ratios are to.
    """

    split: LabelledSplit
    reference: Policy

    @property
    def prompt_ids(self) -> list[str]:
        """Of P prompts, in the order of the values."""
        return list(self.split.responses["prompt_id"].drop_duplicates())

    def logprobs(self, policy: Policy) -> Array:
        """Log pi (n,) of the answers, nats."""
        table = self.split.responses
        return policy.answer_logprobs(
            table["prompt"].tolist(), table["response"].tolist(), ended_column(table)
        )

    @cached_property
    def first(self) -> Array:
        """Log pi_ref (n,) of the answers, nats."""
        return self.logprobs(self.reference)

    def values(self, policy: Policy) -> tuple[Array, float]:
        """Win rates (P, K) by labels within prompts (``method.md``, section 3), and the least ``share_carried`` of an objective."""
        held = replace(self.split, log_ratio=self.logprobs(policy) - self.first)
        carried = share_carried(held.first, held.second, held.weights, held.log_ratio, held.prompts)
        return label_values_by_prompt(held), float(carried.min())


def labelled(
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    prompt_ids: Sequence[str],
    objectives: tuple[str, ...],
    reference: Policy,
) -> Labelled | None:
    """The answers to these test prompts that labels of every objective speak of; None where there are none."""
    pairs = comparisons.loc[comparisons["prompt_id"].isin(list(prompt_ids))]
    counts = pairs[list(objectives)].notna() & (comparison_weights(pairs, objectives) > 0)
    known = counts.groupby(pairs["prompt_id"]).any().all(axis=1)
    kept = list(known.index[known])
    own = responses.loc[responses["prompt_id"].isin(kept)]
    alike = own[["response_id"]].assign(logprob_policy=0.0, logprob_reference=0.0)
    split = labelled_split(own, pairs.loc[pairs["prompt_id"].isin(kept)], alike, objectives)
    return None if split is None else Labelled(split, reference)


def cannot_tell(quality: Mapping[str, Any], objectives: Sequence[str]) -> bool:
    """Whether a judge, by its ``judge_quality``, is no witness for some objective."""
    told = [quality["objectives"].get(name) for name in objectives]
    return any(blindness(own, np.nan) is not None or doubt(own) for own in told)
