"""What validation labels say of a front: the one number hyperparameters are chosen by, ours as the rivals'."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.lengths import ended_column
from mopo_pipeline.mopo import Comparisons
from mopo_pipeline.mopo.labelled import labelled_values
from mopo_pipeline.pareto import hypervolume
from mopo_pipeline.policies.valued import Policy
from mopo_pipeline.tables import comparison_weights


def check_labelled(comparisons: pd.DataFrame, objectives: tuple[str, ...]) -> None:
    """Refuse to tune by labels that are not there, before anything is trained for it.

    Raises:
        InputError: an objective has no validation label.
    """
    pairs = comparisons.loc[comparisons["split"] == "validation"]
    unknown = [name for name in objectives if not pairs[name].notna().any()]
    if unknown:
        raise InputError(
            f"tuning chooses by validation labels, and there is none of {', '.join(unknown)}: raise ingest.split.validation"
        )


def validation_hypervolume(
    policies: Sequence[Policy],
    reference: Policy,
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    objectives: tuple[str, ...],
    corner: float,
) -> float | None:
    """What policies dominate together above a corner, by the labels of the validation split; None of none.

    Args:
        policies: a method's, at one setting of its hyperparameters; one whose values are no numbers is left out.
        reference: whose answers were labelled.
        responses: every response with its split.
        comparisons: labelled pairs with their split.
        objectives: K names.
        corner: every coordinate of the reference point.

    Raises:
        InputError: an objective has no validation label.
    """
    check_labelled(comparisons, objectives)
    rows = responses.loc[responses["split"] == "validation"].reset_index(drop=True)
    pairs = comparisons.loc[comparisons["split"] == "validation"]
    place = {name: i for i, name in enumerate(rows["response_id"])}
    names = list(objectives)
    compared = Comparisons(
        first=pairs["response_a"].map(place).to_numpy(dtype=np.int64),
        second=pairs["response_b"].map(place).to_numpy(dtype=np.int64),
        labels=pairs[names].to_numpy(dtype=np.float64),
        weights=comparison_weights(pairs, names),
    )
    prompts, texts = rows["prompt"].tolist(), rows["response"].tolist()
    asked = prompts, texts, ended_column(rows)
    first = reference.answer_logprobs(*asked)
    of = np.unique(rows["prompt_id"].to_numpy(dtype=str), return_inverse=True)[1]
    seen = [
        labelled_values(compared, policy.answer_logprobs(*asked) - first, of).values
        for policy in policies
    ]
    known = [values for values in seen if np.isfinite(values).all()]
    return hypervolume(np.array(known), np.full(len(names), corner)) if known else None
