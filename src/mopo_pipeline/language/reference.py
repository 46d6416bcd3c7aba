"""The reference policy: trained with unit weights by the policy's own trainer, or taken as it is."""

import hashlib
import json
import logging
import shutil
import tempfile
from pathlib import Path

import pandas as pd

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.checkpoints import MANIFEST
from mopo_pipeline.language.launch import check_fit
from mopo_pipeline.language.loading import load_model, load_tokenizer, materialise, model_digest
from mopo_pipeline.language.logprobs import sequence_logprobs
from mopo_pipeline.language.resample import try_judge
from mopo_pipeline.language.run import TrainingRun, train
from mopo_pipeline.language.scratch import build_model, build_tokenizer
from mopo_pipeline.language.tokens import prompt_ids
from mopo_pipeline.parameters.train import ReferenceParams, TrainParams
from mopo_pipeline.progress import show_hub_progress
from mopo_pipeline.source import code_of_module
from mopo_pipeline.tables import prompt_text

log = logging.getLogger(__name__)

KEY, SCORED = "row_fingerprint", ("logprob", "n_tokens", "truncated")


def make_reference(
    responses: pd.DataFrame,
    seed: int,
    params: ReferenceParams,
    policy: TrainParams,
    objectives: tuple[str, ...],
) -> tuple[Path, pd.DataFrame]:
    """A complete model directory, and the training log (empty where nothing was trained).

    What would stop either training run is found first: ``policy`` is checked along with ``params``.

    Raises:
        InputError: ``params.model`` is no model, a prompt that fills the context, a fit this data
            or this machine cannot do, or a judge of fresh responses that cannot judge.
    """
    params.work_dir.mkdir(parents=True, exist_ok=True)
    rows = responses.loc[responses["split"] == "train", ["prompt", "response"]]
    check_fit(policy.fit, "train.fit", len(rows))
    if policy.lag.on_policy and policy.lag.judge != "preference_model":
        try_judge(policy.lag, objectives, None, rows)
    if params.train:
        check_fit(params.fit, "reference.fit", len(rows))
    with tempfile.TemporaryDirectory(prefix=".initial-", dir=params.work_dir) as scratch:
        initial = _initial(responses, seed, params, Path(scratch))
        contexts = {"reference.fit": params.fit.max_length, "train.fit": policy.fit.max_length}
        check_contexts(initial, responses["prompt"], contexts)
        if not params.train:
            return _copy(initial, params.work_dir), pd.DataFrame({"step": pd.Series(dtype=int)})
        rows = rows.reset_index(drop=True).assign(weight=1.0, reference_logprob=float("nan"))
        run = TrainingRun("reference", initial, rows, params.fit, seed, lora=params.lora)
        result = train(run, params.work_dir)
        return merged(result.directory, initial, params.work_dir), result.log


def check_contexts(initial: Path, prompts: pd.Series, contexts: dict[str, int]) -> None:
    """Refuse contexts longer than the model's, and prompts that leave no room for a response.

    Args:
        initial: model directory.
        prompts: stored prompts.
        contexts: tokens, by what the parameters are called.

    Raises:
        InputError: names the context, or the longest prompt.
    """
    limit = json.loads((initial / "config.json").read_text(encoding="utf-8")).get(
        "max_position_embeddings"
    )
    tokenizer = load_tokenizer(initial)
    lengths = {prompt: len(prompt_ids(tokenizer, prompt)) for prompt in prompts.unique()}
    longest = max(lengths, key=lambda prompt: lengths[prompt])
    for where, context in contexts.items():
        if limit is not None and context > limit:
            raise InputError(
                f"{where}.max_length is {context}, but the model's context is {limit} tokens"
            )
        if lengths[longest] >= context:
            count = sum(length >= context for length in lengths.values())
            raise InputError(
                f"the prompt {prompt_text(longest)[:40]!r}... takes {lengths[longest]} tokens and leaves no room for a "
                f"response in {where}.max_length={context} ({count} of {len(lengths)} prompts); raise it or drop them"
            )


def reference_logprobs(
    responses: pd.DataFrame,
    model_dir: Path,
    max_length: int,
    work_dir: Path,
    dtype: str = "float32",
) -> pd.DataFrame:
    """Log pi_ref of every response, one row per response, with what it was computed from.

    Kept in ``work_dir`` by model (weights, configuration, tokenizer, template), context, precision and code, per row by
    its text: a row is computed again only where one of them changed.
    """
    fingerprint = model_digest(model_dir)
    keys = row_fingerprints(responses)
    code = code_of_module(sequence_logprobs.__module__).digest
    path = work_dir / f"logprobs-{fingerprint[:12]}-{max_length}-{dtype}-{code}.parquet"
    known = pd.read_parquet(path) if path.is_file() else pd.DataFrame(columns=[KEY, *SCORED])
    missing = ~keys.isin(known[KEY]) & ~keys.duplicated()
    log.info(
        "log-probabilities to compute: %d of %d distinct rows",
        int(missing.sum()),
        int((~keys.duplicated()).sum()),
    )
    if missing.any():
        model, tokenizer = load_model(model_dir, dtype=dtype)
        found = sequence_logprobs(
            model,
            tokenizer,
            responses.loc[missing, "prompt"].tolist(),
            responses.loc[missing, "response"].tolist(),
            max_length=max_length,
            description="reference log-probabilities",
        )
        new = pd.DataFrame({KEY: keys[missing].to_numpy(), **found._asdict()})
        known = pd.concat([known, new], ignore_index=True) if len(known) else new
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = path.with_suffix(".tmp")
        known.to_parquet(staging, index=False)
        staging.replace(path)
    scored = known.set_index(KEY).loc[keys, list(SCORED)].reset_index()
    return responses[["prompt_id", "response_id"]].assign(
        **scored, model_fingerprint=fingerprint, max_length=max_length
    )


def row_fingerprints(rows: pd.DataFrame) -> pd.Series:
    """A hash of each row's prompt and response."""
    texts = zip(rows["prompt"], rows["response"], strict=True)
    return pd.Series(
        [hashlib.sha256(f"{p}\0{r}".encode()).hexdigest()[:24] for p, r in texts],
        index=rows.index,
        dtype=object,
    )


def check_logprobs(
    logprobs: pd.DataFrame, rows: pd.DataFrame, model_dir: Path, max_length: int
) -> None:
    """Refuse log-probabilities of another model, other texts or another context.

    Args:
        logprobs: as ``reference_logprobs`` made them.
        rows: response_id, prompt, response to train on.
        model_dir: the reference.
        max_length: context of the run that uses them.

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
    context = int(logprobs["max_length"].iloc[0])
    if context != max_length:
        raise InputError(
            f"reference_logprobs are of responses cut to {context} tokens, but train.fit.max_length is {max_length}: set "
            "reference.fit.max_length to the same"
        )
    scored = logprobs.set_index("response_id")[KEY].reindex(rows["response_id"]).to_numpy()
    changed = scored != row_fingerprints(rows).to_numpy()
    if changed.any():
        raise InputError(
            f"reference_logprobs are of other texts than the data for {int(changed.sum())} of {len(rows)} responses, "
            f"first {rows['response_id'].iloc[int(changed.argmax())]!r}; {remedy}"
        )


def merged(directory: Path, base: Path, work_dir: Path) -> Path:
    """A copy of a trained model, adapters folded into their base."""
    if not (directory / "adapter_config.json").is_file():
        return _copy(directory, work_dir)
    model, tokenizer = load_model(directory, base=base, device="cpu")
    target = Path(tempfile.mkdtemp(prefix=".reference-", dir=work_dir))
    model.merge_and_unload().save_pretrained(target)
    tokenizer.save_pretrained(target)
    return target


def _initial(responses: pd.DataFrame, seed: int, params: ReferenceParams, target: Path) -> Path:
    """The model before training: a model directory as it is, anything else written to ``target``."""
    if params.model != "scratch":
        source = materialise(params.model)
        if (Path(source) / "config.json").is_file():
            return Path(source)
        model, tokenizer = load_model(source, device="cpu")
        if hasattr(model, "merge_and_unload"):
            model = model.merge_and_unload()
    else:
        train_rows = responses.loc[responses["split"] == "train"]
        tokenizer = build_tokenizer(train_rows["prompt"].tolist(), train_rows["response"].tolist())
        size = params.scratch
        model = build_model(
            tokenizer,
            layers=size.layers,
            width=size.width,
            heads=size.heads,
            max_length=params.fit.max_length,
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
