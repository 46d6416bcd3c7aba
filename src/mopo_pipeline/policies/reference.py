"""The reference policy: trained with unit weights by the policy's own trainer, or taken as it is."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from mopo_pipeline.language.adapters import check_installed, save_merged
from mopo_pipeline.language.lengths import (
    ENDED,
    check_context,
    check_room,
    cut_finding,
    encode_all,
    measure,
    tell,
)
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.places import materialise
from mopo_pipeline.language.scratch import build_model, build_tokenizer
from mopo_pipeline.language.sealed import MANIFEST, handed_over
from mopo_pipeline.language.tokens import EncodedRows
from mopo_pipeline.launching.fit_checks import check_fit, check_quantised
from mopo_pipeline.launching.run import TrainingRun, train
from mopo_pipeline.parameters.lag import FreshLag
from mopo_pipeline.parameters.reference import ReferenceParams
from mopo_pipeline.parameters.train import TrainParams
from mopo_pipeline.policies.reference_logprobs import CUT_BY_CONTEXT, measured
from mopo_pipeline.progress import show_hub_progress
from mopo_pipeline.training.fresh_judge import try_judge

PROBES = 16
"""Rows on which a merged model is compared with the trained one."""


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
    check_fit(policy.fit.over(len(train_rows)), "train.fit", len(train_rows))
    check_quantised(policy.lora, policy.fit, "train.fit")
    if isinstance(policy.lag, FreshLag) and policy.lag.judge != "preference_model":
        try_judge(policy.lag, objectives, None, train_rows)
    fit = params.fit.over(len(train_rows))
    if policy.lora is not None or (params.train and params.lora is not None):
        check_installed()
    if params.train:
        check_fit(fit, "reference.fit", len(train_rows))
        check_quantised(params.lora, params.fit, "reference.fit")
    with tempfile.TemporaryDirectory(prefix=".initial-", dir=params.work_dir) as scratch:
        initial = _initial(responses, seed, params, Path(scratch))
        whole, lengths, limit = measured(initial, responses, params.context)
        check_context(whole, responses["prompt"].tolist(), lengths, limit)
        check_room("evaluate.sampling.max_new_tokens", sampled_tokens, lengths.prompt, limit)
        if isinstance(policy.lag, FreshLag):
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
            "reference", initial, rows, fit, seed, lora=params.lora, context=lengths.context
        )
        result = train(run, params.work_dir)
        probe = whole.cut(lengths.context).subset(np.arange(min(PROBES, len(whole.ids))))
        return merged(result.directory, initial, params.work_dir, probe), result.log


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
    target = handed_over(".model-", work_dir)
    shutil.copytree(
        directory,
        target,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("training_args.bin", MANIFEST),
    )
    return target
