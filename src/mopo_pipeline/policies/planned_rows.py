"""The planned rows as other trainers read them: weighted or resampled, as messages or in the reference's own tokens."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.errors import InputError
from mopo_pipeline.language.chat import ASSISTANT, Chat, conversation
from mopo_pipeline.language.lengths import ENDED, encode_all
from mopo_pipeline.language.loading import load_tokenizer, model_digest
from mopo_pipeline.language.tokens import EncodedRows
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.rows import RowsParams
from mopo_pipeline.parameters.train import TrainParams
from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.policies.export import fingerprint
from mopo_pipeline.policies.reference_logprobs import check_logprobs
from mopo_pipeline.policies.training_rows import steering, training_rows
from mopo_pipeline.streams import Stream, generator
from mopo_pipeline.training.loss import NEGLIGIBLE
from mopo_pipeline.training.row_schedule import systematic_resample

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)

NO_LABEL = -100
"""What marks a token that is not trained on."""

OF_PLAN = (
    "objectives", "thresholds", "targets", "attainable", "multipliers", "values", "bounds", "status", "duality_gap",
    "tau", "confidence", "assurance", "epsilon", "kl", "ess",
)  # fmt: skip
"""What of the plan the manifest repeats."""


@dataclass(frozen=True)
class PlannedRows:
    """What is written, a table per file, and the manifest beside them.

    Attributes:
        loss_scale: a row per training row: messages, the answer with its weight.
        messages: rows drawn by weight: messages.
        tokens: rows drawn by weight: input_ids, labels.
        manifest: JSON-ready.
    """

    loss_scale: pd.DataFrame
    messages: pd.DataFrame
    tokens: pd.DataFrame
    manifest: dict[str, Any]


def planned_rows(
    responses: pd.DataFrame,
    win_rates: pd.DataFrame,
    comparisons: pd.DataFrame,
    plan: TrainingPlan,
    row_weights: pd.DataFrame,
    reference_policy: Path,
    reference_logprobs: pd.DataFrame,
    task: TaskParams,
    train: TrainParams,
    params: RowsParams,
) -> PlannedRows:
    """The plan's rows, those of a reference that stays.

    Rows whose writer did not end them go into no messages: a trainer that renders them would end them.

    Raises:
        InputError: log-probabilities of another reference, text or context; no ended row to write.
    """
    rows = training_rows(responses, row_weights, reference_logprobs)
    context = check_logprobs(reference_logprobs, steering(responses), reference_policy)
    tokenizer = load_tokenizer(reference_policy)
    encoded = encode_all(tokenizer, rows).cut(context)
    weight = rows["weight"].to_numpy(dtype=np.float64)
    weight = np.where(weight >= NEGLIGIBLE * weight.max(), weight, 0.0)
    ended = rows[ENDED].to_numpy(dtype=bool)
    written = ended & (weight > 0)
    if not written.any():
        raise InputError(
            "no training row has both weight and an end, so there is nothing to write: raise ingest.sampled.max_new_tokens"
        )
    size = params.size or len(rows)
    drawn = _drawn(weight, size, task.seed)
    drawn_ended = _drawn(np.where(ended, weight, 0.0), size, task.seed)
    messages = [*map(conversation, rows["prompt"], rows["response"])]
    differ = rendered_otherwise(tokenizer, messages, encoded)[written]
    counts = _counted(weight, ended, drawn) | {
        "rendered_otherwise": int(differ.sum()),
        "cut": int((encoded.truncated & (weight > 0)).sum()),
    }
    end = str(tokenizer.convert_ids_to_tokens(Chat(tokenizer).end_id))
    manifest = {
        **{name: plan.to_json()[name] for name in OF_PLAN},
        "lag": {"mode": train.lag.mode, "beta": getattr(train.lag, "beta", None)},
        "data_fingerprint": fingerprint(rows, win_rates, comparisons),
        "reference": model_digest(reference_policy),
        "context": context,
        "end_token": end,
        "seed": task.seed,
        "rows": counts,
        "notes": notes(counts, train.lag.mode, context),
    }
    for note in manifest["notes"]:
        log.warning("%s", note)
    return PlannedRows(
        weighted_messages([messages[i] for i in np.flatnonzero(written)], weight[written], end),
        pd.DataFrame({"messages": [messages[i] for i in drawn_ended]}),
        labelled_tokens(encoded, drawn),
        manifest,
    )


def weighted_messages(
    spoken: Sequence[list[dict[str, Any]]], weight: Array, end: str
) -> pd.DataFrame:
    """Conversations as ms-swift reads them: the last answer carries its ``loss_scale``, earlier ones no loss.

    The end token stands in the answer's text: one that ms-swift adds itself has the weight 1 in every row, and
    when to stop would be learned from all answers alike (seen with ms-swift 4.6.0).

    Args:
        spoken: n conversations, each ending with the answer that is trained on.
        weight: (n,) > 0; written with mean 1.
        end: text of the token that closes an answer.
    """
    rows = []
    for said, scale in zip(spoken, (weight / weight.mean()).tolist(), strict=True):
        before = [m | ({"loss": False} if m["role"] == ASSISTANT else {}) for m in said[:-1]]
        closed = said[-1]["content"] + end
        rows.append([*before, said[-1] | {"content": closed, "loss_scale": scale}])
    return pd.DataFrame({"messages": rows})


def labelled_tokens(rows: EncodedRows, drawn: Index) -> pd.DataFrame:
    """Drawn rows (m,) as token ids, with labels that leave the prompt out: nothing is left to a template."""
    ids = [rows.ids[i] for i in drawn]
    heads = rows.prompt_lengths[drawn].tolist()
    labels = [[NO_LABEL] * head + row[head:] for row, head in zip(ids, heads, strict=True)]
    return pd.DataFrame({"input_ids": ids, "labels": labels})


def rendered_otherwise(
    tokenizer: "PreTrainedTokenizerBase",
    spoken: Sequence[list[dict[str, Any]]],
    rows: EncodedRows,
) -> NDArray[np.bool_]:
    """Whether a trainer that renders the conversations by the model's own template sees other tokens, (n,).

    What follows the end token, such as a line break, is no difference.
    """
    theirs: Any = tokenizer.apply_chat_template(list(spoken), tokenize=True, return_dict=True)
    return np.array(
        [
            list(one[: len(own)]) != own
            for own, one in zip(rows.ids, theirs["input_ids"], strict=True)
        ]
    )


def notes(counts: dict[str, Any], mode: str, context: int) -> list[str]:
    """What another trainer must know of these rows, a sentence each."""
    found = []
    if counts["rendered_otherwise"]:
        found.append(
            f"the reference's chat template writes {counts['rendered_otherwise']} of {counts['weighted']} rows with other "
            "tokens than here (it may leave out the end of an answer): train on rows_tokens.jsonl, not on messages"
        )
    if counts["unended"]:
        found.append(
            f"{counts['unended']} rows, {counts['unended_weight']:.1%} of the weight, have no end and stand in "
            "rows_tokens.jsonl alone, since a trainer that renders messages would end them"
        )
    if counts["cut"]:
        found.append(
            f"{counts['cut']} rows are longer than the context of {context} tokens: rows_tokens.jsonl has them cut, messages "
            "whole, so have that trainer cut at the end there (some leave such rows out), or train on rows_tokens.jsonl"
        )
    if mode != "none":
        found.append(
            f"train.lag.mode is {mode}, which weighs or draws rows anew as it trains: these are the plan's own, for a "
            "reference that stays"
        )
    return found


def _counted(weight: Array, ended: NDArray[np.bool_], drawn: Index) -> dict[str, Any]:
    """Counts of rows by weight (n,) and end (n,), and of how they were drawn (m,)."""
    return {
        "training": len(weight),
        "without_weight": int((weight == 0).sum()),
        "unended": int((~ended).sum()),
        "unended_weight": float(weight[~ended].sum() / weight.sum()),
        "weighted": int((ended & (weight > 0)).sum()),
        "drawn": len(drawn),
        "distinct": len(np.unique(drawn)),
        "most_often": int(np.bincount(drawn).max()),
    }


def _drawn(weight: Array, size: int, seed: int) -> Index:
    """Rows (size,) in proportion to weight (n,), in random order."""
    rng = generator(seed, Stream.EXPORTED_ROWS)
    return np.asarray(rng.permutation(systematic_resample(weight, size, rng)), dtype=np.int64)
