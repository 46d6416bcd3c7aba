"""The reference policy: trained with unit weights by the policy's own trainer, or taken as it is."""

import json
import logging
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.checkpoints import MANIFEST
from mopo_pipeline.language.launch import check_fit
from mopo_pipeline.language.lengths import (
    ENDED,
    Lengths,
    check_context,
    check_room,
    cut_finding,
    encode_all,
    measure,
    tell,
)
from mopo_pipeline.language.loading import load_model, load_tokenizer, materialise, model_digest
from mopo_pipeline.language.logprobs import row_logprobs
from mopo_pipeline.language.merging import save_merged
from mopo_pipeline.language.resample import try_judge
from mopo_pipeline.language.run import TrainingRun, train
from mopo_pipeline.language.scratch import build_model, build_tokenizer
from mopo_pipeline.language.tokens import EncodedRows
from mopo_pipeline.parameters.train import ReferenceParams, TrainParams
from mopo_pipeline.progress import show_hub_progress
from mopo_pipeline.source import code_of_module

log = logging.getLogger(__name__)

SCORING_CODE = "mopo_pipeline.language.logprobs"
"""What log-probabilities rest on: those of other code are not reused."""

KEY, PROBES = "row_fingerprint", 16
"""Column of a row's tokens, hashed; rows on which a merged model is compared with the trained one."""

CUT_BY_CONTEXT = (
    "they end nowhere: raise reference.context as far as the model and memory allow, or drop them"
)


def make_reference(
    responses: pd.DataFrame,
    seed: int,
    params: ReferenceParams,
    policy: TrainParams,
    objectives: tuple[str, ...],
    sampled_tokens: int | None = None,
) -> tuple[Path, pd.DataFrame]:
    """A complete model directory, and the training log (empty where nothing was trained).

    What would stop either training run or the evaluation is found first: ``policy`` and ``sampled_tokens``, the longest
    answer the evaluation draws, are only checked.

    Raises:
        InputError: ``params.model`` is no model, a prompt that fills the context, a fit this data
            or this machine cannot do, answers longer than the context, or a judge of fresh responses
            that cannot judge.
    """
    params.work_dir.mkdir(parents=True, exist_ok=True)
    train_rows = responses.loc[responses["split"] == "train"].reset_index(drop=True)
    check_fit(policy.fit, "train.fit", len(train_rows))
    if policy.lag.on_policy and policy.lag.judge != "preference_model":
        try_judge(policy.lag, objectives, None, train_rows)
    if params.train:
        check_fit(params.fit, "reference.fit", len(train_rows))
    with tempfile.TemporaryDirectory(prefix=".initial-", dir=params.work_dir) as scratch:
        initial = _initial(responses, seed, params, Path(scratch))
        whole, lengths, limit = measured(initial, responses, params.context)
        check_context(whole, responses["prompt"].tolist(), lengths, limit)
        check_room("evaluate.sampling.max_new_tokens", sampled_tokens, lengths.prompt, limit)
        if policy.lag.on_policy:
            name, room = "train.lag.max_new_tokens", lengths.context
            check_room(name, policy.lag.max_new_tokens, lengths.prompt, room)
        tell(
            cut_finding(whole.cut(lengths.context).truncated, "answers of the data", CUT_BY_CONTEXT)
        )
        if not params.train:
            return _copy(initial, params.work_dir), pd.DataFrame({"step": pd.Series(dtype=int)})
        columns = [name for name in ("prompt", "response", ENDED) if name in train_rows]
        rows = train_rows[columns].assign(weight=1.0, reference_logprob=float("nan"))
        run = TrainingRun(
            "reference", initial, rows, params.fit, seed, lora=params.lora, context=lengths.context
        )
        result = train(run, params.work_dir)
        probe = whole.cut(lengths.context).subset(np.arange(min(PROBES, len(whole.ids))))
        return merged(result.directory, initial, params.work_dir, probe), result.log


def measured(
    directory: Path, responses: pd.DataFrame, wanted: int | None
) -> tuple[EncodedRows, Lengths, int | None]:
    """Every response whole in a model's tokens, the run's context, and the most the model has.

    Raises:
        InputError: a token that the model has no embedding for.
    """
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    config = config.get("text_config", config)
    limit = config.get("max_position_embeddings")
    rows = encode_all(load_tokenizer(directory), responses)
    known, largest = config.get("vocab_size"), max(max(ids) for ids in rows.ids)
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
    remedy = "run kedro run --nodes=score_reference"
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


def merged(directory: Path, base: Path, work_dir: Path, probe: EncodedRows) -> Path:
    """A copy of a trained model, adapters folded into their base and checked on the rows of ``probe``."""
    if not (directory / "adapter_config.json").is_file():
        return _copy(directory, work_dir)
    model, tokenizer = load_model(directory, base=base, device="cpu")
    return save_merged(model, tokenizer, probe, work_dir)


def _initial(responses: pd.DataFrame, seed: int, params: ReferenceParams, target: Path) -> Path:
    """The model before training: a model directory as it is, anything else written to ``target``."""
    if params.model != "scratch":
        source = materialise(params.model)
        if (Path(source) / "config.json").is_file():
            return Path(source)
        model, tokenizer = load_model(source, device="cpu")
        if hasattr(model, "merge_and_unload"):
            probe = encode_all(tokenizer, responses[:PROBES])
            return save_merged(model, tokenizer, probe, target)
    else:
        train_rows = responses.loc[responses["split"] == "train"]
        tokenizer = build_tokenizer(train_rows["prompt"].tolist(), train_rows["response"].tolist())
        size = params.scratch
        context = measure(encode_all(tokenizer, responses), None, params.context).context
        model = build_model(
            tokenizer,
            layers=size.layers,
            width=size.width,
            heads=size.heads,
            max_length=context,
            seed=seed,
        )
    show_hub_progress(False)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    return target


def _copy(directory: Path, work_dir: Path) -> Path:
    target = Path(tempfile.mkdtemp(prefix=".model-", dir=work_dir))
    shutil.copytree(
        directory,
        target,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("training_args.bin", MANIFEST),
    )
    return target
