"""A policy that was trained elsewhere, taken as it is: held against the reference, its files alone, no code."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.kinds import named_base
from mopo_pipeline.language.lengths import encode_all, model_limit
from mopo_pipeline.language.loading import (
    CONTENT,
    load_model,
    load_tokenizer,
    model_digest,
)
from mopo_pipeline.language.logprobs import row_logprobs
from mopo_pipeline.language.places import check_model
from mopo_pipeline.language.sealed import MANIFEST, handed_over
from mopo_pipeline.language.tokens import EncodedRows
from mopo_pipeline.parameters.train import TrainParams
from mopo_pipeline.policies.reference_logprobs import KEY

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NAME = "train.policy"
PROBES = 8
"""Rows on which the policy must give log-probabilities."""

TOKENIZER = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json")
"""Files of which a folder with a tokenizer has one."""


def taken_as_it_is(
    params: TrainParams, reference: Path, responses: pd.DataFrame, reference_logprobs: pd.DataFrame
) -> Path:
    """A folder with what a model or an adapter of the reference consists of, and a tokenizer.

    An adapter's folder that has no tokenizer takes the reference's. Nothing is copied: files are linked.

    Args:
        params: name the policy, and where the folder is made.
        reference: directory of the reference policy.
        responses: of the data; their tokens must be the reference's.
        reference_logprobs: as ``reference_logprobs`` made them.

    Raises:
        InputError: no such folder, no model in it, an adapter of another base, other tokens or more of
            them than the policy reads, or log-probabilities that are not numbers.
    """
    directory = params.policy
    if directory is None or not directory.is_dir():
        raise InputError(
            f"{NAME} is {directory}: no such folder; name the one that the other trainer saved the model or adapter in"
        )
    check_model(directory, NAME)
    _check_named_base(directory, reference)
    made = handed_over(".elsewhere-", params.work_dir)
    for file in sorted(directory.iterdir()):
        kept = file.suffix in CONTENT and file.name != MANIFEST and not file.name.startswith(".")
        if kept and file.is_file():
            (made / file.name).symlink_to(file.resolve())
    if not any((directory / name).is_file() for name in TOKENIZER):
        load_tokenizer(reference).save_pretrained(made)
    rows = _same_tokens(load_tokenizer(made), directory, responses, reference_logprobs)
    model, _ = load_model(made, base=reference)
    longest, limit = int(rows.lengths.max()), model_limit(model.config.get_text_config())
    if limit is not None and longest > limit:
        raise InputError(
            f"{NAME}: the model in {directory} has a context of {limit} tokens, but the reference reads up to {longest}: set "
            f"reference.context to {limit} or less, so that both read the same"
        )
    found = row_logprobs(model, rows.subset(np.arange(min(PROBES, len(rows.ids)))))
    if not np.isfinite(found).all():
        raise InputError(f"{NAME}: the model in {directory} gives no finite log-probability")
    return made


def _same_tokens(
    tokenizer: "PreTrainedTokenizerBase",
    directory: Path,
    responses: pd.DataFrame,
    reference_logprobs: pd.DataFrame,
) -> EncodedRows:
    """Every response in the policy's tokens, which are the reference's."""
    rows = encode_all(tokenizer, responses).cut(int(reference_logprobs["context"].iloc[0]))
    known = reference_logprobs.set_index("response_id")[KEY].reindex(responses["response_id"])
    differs = known.to_numpy() != np.array(rows.fingerprints(), dtype=object)
    if differs.any():
        first = responses["response_id"].iloc[int(differs.argmax())]
        raise InputError(
            f"{NAME}: the tokenizer or chat template in {directory} writes {int(differs.sum())} of {len(responses)} responses "
            f"with other tokens than the reference, first {first!r}: put the reference's tokenizer files there"
        )
    return rows


def _check_named_base(directory: Path, reference: Path) -> None:
    """Refuse an adapter whose base lies on this machine and is not the reference."""
    if not (directory / "adapter_config.json").is_file():
        return
    base = Path(named_base(directory) or "")
    if base != Path() and base.is_dir() and model_digest(base) != model_digest(reference):
        raise InputError(
            f"{NAME}: {directory} is an adapter of {base}, which is not the reference of this run: train it on the "
            f"model that rows_manifest.json names ({model_digest(reference)[:12]}), or merge it and give the whole model"
        )
