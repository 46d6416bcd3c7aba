"""Which rows a policy is trained on and looked at with, and what labels say of them."""

from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.language.lengths import ENDED, ended_column
from mopo_pipeline.mopo import Comparisons
from mopo_pipeline.parameters.base import OF_MODEL
from mopo_pipeline.parameters.lag import FreshLag
from mopo_pipeline.parameters.train import TrainParams
from mopo_pipeline.plan.problem import row_comparisons
from mopo_pipeline.sampling_units import sampling_units
from mopo_pipeline.streams import Stream, generator


def judged_comparisons(
    rows: pd.DataFrame,
    comparisons: pd.DataFrame,
    predictions: pd.DataFrame,
    objectives: tuple[str, ...],
) -> Comparisons | None:
    """Comparisons of the training rows beside what the model that judges fresh responses says of them.

    Its error is measured on these: what people said of the very answers is no part of it. None where no
    model was fitted.
    """
    own = {f"{name}{OF_MODEL}": name for name in objectives}
    if not set(own) <= set(predictions):
        return None
    said = predictions.drop(columns=list(objectives)).rename(columns=own)
    return row_comparisons(rows, comparisons, said, objectives)


def steering(responses: pd.DataFrame) -> pd.DataFrame:
    """Responses that may have a part in what a policy becomes: all but those of the test split."""
    return responses.loc[responses["split"] != "test"]


def training_rows(
    responses: pd.DataFrame, row_weights: pd.DataFrame, reference_logprobs: pd.DataFrame
) -> pd.DataFrame:
    """Weighted rows with their texts, whether they have an end, and log pi_ref."""
    texts = responses[["response_id", "prompt", "response"]].assign(
        **{ENDED: ended_column(responses)}
    )
    scored = reference_logprobs[["response_id", "logprob", "truncated"]]
    once: dict[str, Any] = {"on": "response_id", "how": "left", "validate": "one_to_one"}
    return row_weights.merge(texts, **once).merge(scored, **once)


def validation_rows(
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    predictions: pd.DataFrame,
    reference_logprobs: pd.DataFrame,
    objectives: tuple[str, ...],
    params: TrainParams,
    seed: int,
) -> tuple[pd.DataFrame, Comparisons | None]:
    """Answers to validation prompts: all of them for fresh responses, else those that labels speak of.

    Returns:
        unit, prompt, response, ended, reference_logprob; and the comparisons of these rows, None where labels
        are not looked at or there are none.
    """
    unseen = responses.loc[responses["split"] == "validation"]
    rows = unseen[["response_id", "prompt_id", "prompt", "response"]].assign(
        unit=unseen["prompt_id"].map(sampling_units(responses)), **{ENDED: ended_column(unseen)}
    )
    if isinstance(params.lag, FreshLag):
        return rows[["unit", "prompt", "response", ENDED]], None
    compared = comparisons.loc[comparisons["split"] == "validation"]
    prompts = np.sort(compared["prompt_id"].unique())
    limit = params.loop.prompts
    if limit is not None and limit < len(prompts):
        drawn = generator(seed, Stream.VALIDATION_PROMPTS).choice(
            len(prompts), size=limit, replace=False
        )
        prompts = prompts[np.sort(drawn)]
    scored = reference_logprobs[["response_id", "logprob"]]
    rows = rows.loc[rows["prompt_id"].isin(prompts)].merge(
        scored, on="response_id", how="left", validate="one_to_one"
    )
    rows = rows.rename(columns={"logprob": "reference_logprob"}).reset_index(drop=True)
    labels = row_comparisons(rows, comparisons, predictions, objectives)
    return rows[["unit", "prompt", "response", ENDED, "reference_logprob"]], labels
