"""Log pi_ref of every response: computed once, kept, and checked against text and model."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.kinds import read_config
from mopo_pipeline.language.lengths import Lengths, encode_all, measure, model_limit
from mopo_pipeline.language.loading import load_model, load_tokenizer, model_digest
from mopo_pipeline.language.logprobs import row_logprobs
from mopo_pipeline.language.tokens import EncodedRows
from mopo_pipeline.source import code_of_module

log = logging.getLogger(__name__)

SCORING_CODE = "mopo_pipeline.language.logprobs"
"""What log-probabilities rest on: those of other code are not reused."""

KEY = "row_fingerprint"
"""Column of a row's tokens, hashed."""

CUT_BY_CONTEXT = (
    "they end nowhere: raise reference.context as far as the model and memory allow, or drop them"
)


def measured(
    directory: Path, responses: pd.DataFrame, wanted: int | None
) -> tuple[EncodedRows, Lengths, int | None]:
    """Every response whole in a model's tokens, the run's context, and the most the model has.

    Raises:
        InputError: no causal language model, or a token that it has no embedding for.
    """
    config = read_config(directory, directory).get_text_config()
    limit = model_limit(config)
    rows = encode_all(load_tokenizer(directory), responses)
    known, largest = getattr(config, "vocab_size", None), max(max(ids) for ids in rows.ids)
    if known is not None and largest >= known:
        row = next(i for i, ids in enumerate(rows.ids) if max(ids) >= known)
        raise InputError(
            f"the tokenizer of {directory} writes response {responses['response_id'].iloc[row]!r} with token {largest}, "
            f"but the model embeds {known} tokens: resize and save the model, or use its own tokenizer"
        )
    return rows, measure(rows, limit, wanted), limit


def reference_logprobs(
    responses: pd.DataFrame,
    model_dir: Path,
    context: int | None,
    work_dir: Path,
    dtype: str = "float32",
) -> pd.DataFrame:
    """Log pi_ref of every response, one row per response, with what it was computed from.

    Kept in ``work_dir`` by model (weights, configuration, tokenizer, template), precision and code, per row by its
    tokens: a row is computed again only where one of them changed. The column ``context`` holds for the whole run.
    """
    fingerprint = model_digest(model_dir)
    whole, lengths, _ = measured(model_dir, responses, context)
    rows = whole.cut(lengths.context)
    keys = pd.Series(rows.fingerprints(), index=responses.index, dtype=object)
    code = code_of_module(SCORING_CODE).digest
    path = work_dir / f"logprobs-{fingerprint[:12]}-{dtype}-{code}.parquet"
    known = pd.read_parquet(path) if path.is_file() else pd.DataFrame(columns=[KEY, "logprob"])
    missing = ~keys.isin(known[KEY]) & ~keys.duplicated()
    log.info(
        "log-probabilities to compute: %d of %d distinct rows",
        int(missing.sum()),
        int((~keys.duplicated()).sum()),
    )
    if missing.any():
        model, _ = load_model(model_dir, dtype=dtype)
        found = row_logprobs(
            model,
            rows.subset(np.flatnonzero(missing)),
            description="reference log-probabilities",
        )
        new = pd.DataFrame({KEY: keys[missing].to_numpy(), "logprob": found})
        known = pd.concat([known, new], ignore_index=True) if len(known) else new
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = path.with_suffix(".tmp")
        known.to_parquet(staging, index=False)
        staging.replace(path)
    return responses[["prompt_id", "response_id"]].assign(
        logprob=known.set_index(KEY)["logprob"].loc[keys].to_numpy(dtype=np.float64),
        n_tokens=rows.response_lengths,
        truncated=rows.truncated,
        **{KEY: keys.to_numpy()},
        model_fingerprint=fingerprint,
        context=lengths.context,
    )


def check_logprobs(logprobs: pd.DataFrame, rows: pd.DataFrame, model_dir: Path) -> int:
    """Refuse log-probabilities of another model or other tokens.

    Args:
        logprobs: as ``reference_logprobs`` made them.
        rows: response_id, prompt, response to train on.
        model_dir: the reference.

    Returns:
        The context they were computed in, tokens.

    Raises:
        InputError: says which of them differs.
    """
    remedy = "run kedro run --nodes=reference.score_reference"
    recorded, current = logprobs["model_fingerprint"].iloc[0], model_digest(model_dir)
    if recorded != current:
        raise InputError(
            f"reference_logprobs were computed with model {recorded[:12]}, but reference_policy (weights, tokenizer or "
            f"template) is {current[:12]}; {remedy}"
        )
    context = int(logprobs["context"].iloc[0])
    scored = logprobs.set_index("response_id")[KEY].reindex(rows["response_id"]).to_numpy()
    tokens = encode_all(load_tokenizer(model_dir), rows).cut(context).fingerprints()
    changed = scored != np.array(tokens, dtype=object)
    if changed.any():
        raise InputError(
            f"reference_logprobs are of other texts than the data for {int(changed.sum())} of {len(rows)} responses, "
            f"first {rows['response_id'].iloc[int(changed.argmax())]!r} (a chat template that prints the date changes them "
            f"too); {remedy}"
        )
    return context
