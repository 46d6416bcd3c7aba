"""The reference policy: trained with unit weights by the policy's own trainer, or taken as it is."""

import shutil
import tempfile
from pathlib import Path

import pandas as pd

from mopo_pipeline.language.loading import load_model, materialise
from mopo_pipeline.language.logprobs import sequence_logprobs
from mopo_pipeline.language.run import TrainingRun, model_digest, train
from mopo_pipeline.language.scratch import build_model, build_tokenizer
from mopo_pipeline.parameters.train import ReferenceParams
from mopo_pipeline.progress import show_hub_progress


def make_reference(
    responses: pd.DataFrame, seed: int, params: ReferenceParams
) -> tuple[Path, pd.DataFrame]:
    """A complete model directory, and the training log (empty where nothing was trained).

    Raises:
        InputError: ``params.model`` is no model.
    """
    initial = _initial(responses, seed, params)
    if not params.train:
        return _copy(initial), pd.DataFrame({"step": pd.Series(dtype=int)})
    rows = responses.loc[responses["split"] == "train", ["prompt", "response"]].reset_index(
        drop=True
    )
    rows = rows.assign(weight=1.0, reference_logprob=float("nan"))
    run = TrainingRun("reference", initial, rows, params.fit, seed, lora=params.lora)
    result = train(run, params.work_dir)
    return merged(result.directory), result.log


def reference_logprobs(responses: pd.DataFrame, model_dir: Path, max_length: int) -> pd.DataFrame:
    """Log pi_ref of every response with the model's fingerprint, one row per response."""
    model, tokenizer = load_model(model_dir)
    scored = sequence_logprobs(
        model,
        tokenizer,
        responses["prompt"].tolist(),
        responses["response"].tolist(),
        max_length=max_length,
        description="reference log-probabilities",
    )
    return responses[["prompt_id", "response_id"]].assign(
        logprob=scored.logprob,
        n_tokens=scored.n_tokens,
        truncated=scored.truncated,
        model_fingerprint=model_digest(model_dir),
    )


def merged(directory: Path) -> Path:
    """A copy of a trained model, adapters folded into their base."""
    if not (directory / "adapter_config.json").is_file():
        return _copy(directory)
    model, tokenizer = load_model(directory)
    target = Path(tempfile.mkdtemp(prefix="reference-"))
    model.merge_and_unload().save_pretrained(target)
    tokenizer.save_pretrained(target)
    return target


def _initial(responses: pd.DataFrame, seed: int, params: ReferenceParams) -> Path:
    if params.model != "scratch":
        source = materialise(params.model)
        if Path(source).is_dir():
            return Path(source)
        model, tokenizer = load_model(source)
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
    target = Path(tempfile.mkdtemp(prefix="initial-"))
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    return target


def _copy(directory: Path) -> Path:
    target = Path(tempfile.mkdtemp(prefix="model-"))
    shutil.copytree(
        directory, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("training_args.bin")
    )
    return target
