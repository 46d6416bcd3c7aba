"""A training run: a directory named after everything that decides its result."""

import hashlib
import json
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mopo_pipeline.language.loading import load_tokenizer, model_digest
from mopo_pipeline.language.sealed import damage
from mopo_pipeline.language.tokens import prompt_ids
from mopo_pipeline.launching.fit_checks import check_fit, check_quantised
from mopo_pipeline.launching.launch import run_processes
from mopo_pipeline.mopo import Comparisons
from mopo_pipeline.mopo.problem import DualProblem
from mopo_pipeline.parameters.fit import FixedFit, LoraParams
from mopo_pipeline.parameters.lag import FreshLag, LagParams, NoLag
from mopo_pipeline.parameters.train import LoopParams
from mopo_pipeline.source import code_of_module
from mopo_pipeline.training.problem_files import problem_digest, write_problem
from mopo_pipeline.training.run_spec import ROWS, RunSpec
from mopo_pipeline.training.validation import validation_arrays, write_validation

log = logging.getLogger(__name__)

TRAINING_CODE = "mopo_pipeline.launching.worker"
"""What a training process runs: a run whose code has changed is another run."""

ADAPTERS, TEXT_RULES = ("peft", "bitsandbytes"), ("better-profanity", "pyphen", "vaderSentiment")
"""Packages that only runs with adapters, and only those whose judge may go by rules of text, have a use for."""

NO_TEXT_RULES = ("preference_model", "reward_models", "chat", "pocket")
"""Judges that have no use for ``TEXT_RULES``."""


@dataclass(frozen=True)
class TrainingRun:
    """Inputs of one run.

    Attributes:
        name: what the progress bar and the directory say.
        model: directory of the initial model.
        rows: prompt, response, weight, reference_logprob (NaN where unknown), one row per response; ended where some
            answers were not ended by who wrote them.
        fit, lag, lora: parameters.
        seed: of initial adapters, row order and dropout.
        problem: thresholds to hold; None trains on the given weights alone.
        scorer: preference-model directory, for fresh responses.
        validation: prompt and response of prompts that aren't trained on; reference_logprob, and ended as in ``rows``,
            where their labels are looked at.
        context: tokens of prompt and response; longer responses are cut; None cuts nothing.
        loop: what is seen on validation prompts raises what is aimed at.
        labels: comparisons of ``validation``; None looks at none.
        start: directory of a policy whose weights the first step starts from; None takes those of ``model``.
    """

    name: str
    model: Path
    rows: pd.DataFrame
    fit: FixedFit
    seed: int
    lag: LagParams = field(default_factory=NoLag)
    lora: LoraParams | None = None
    problem: DualProblem | None = None
    scorer: Path | None = None
    validation: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["unit", "prompt", "response"])
    )
    context: int | None = None
    loop: LoopParams = field(default_factory=LoopParams)
    labels: Comparisons | None = None
    start: Path | None = None

    @property
    def where(self) -> str:
        """What the parameters of this run are called."""
        return self.spec.where

    @property
    def spec(self) -> RunSpec:
        """What the processes of the run are told beside its tables."""
        return RunSpec(
            self.name,
            Path(self.model),
            self.fit,
            self.lag,
            self.lora,
            self.seed,
            self.context,
            None if self.scorer is None else Path(self.scorer),
            self.loop,
            None if self.start is None else Path(self.start),
        )


class TrainingResult(NamedTuple):
    """The trained model's directory, one row per logged step, rows cut short, and what was found."""

    directory: Path
    log: pd.DataFrame
    truncated: int
    findings: list[dict[str, Any]]


def train(run: TrainingRun, work_dir: Path) -> TrainingResult:
    """Train, resume or reuse.

    A run whose directory is complete is reused; one that was killed goes on from its last complete
    checkpoint.

    Raises:
        InputError: see ``check_fit`` and ``check_quantised``.
        TrainingStoppedError: the run diverged or could not go on; its checkpoints are kept.
        TrainingFailedError: a training process died.
    """
    launch = check_fit(run.fit, run.where, len(run.rows))
    check_quantised(run.lora, run.fit, run.where)
    staging = prepare(run, work_dir)
    if (staging / "final").is_dir() and damage(staging / "final") is None:
        log.info("%s is up to date, reusing %s", run.name, staging)
    else:
        run_processes(staging, run.fit, launch)
    facts = json.loads((staging / "log.json").read_text(encoding="utf-8"))
    return TrainingResult(
        staging / "final", pd.DataFrame(facts["history"]), facts["truncated"], facts["findings"]
    )


def prepare(run: TrainingRun, work_dir: Path) -> Path:
    """Write a run's inputs; the directory's name ends in their and the training code's fingerprint.

    A prompt's tokens are part of it: a chat template may print the date.
    """
    spec = run.spec
    digest = hashlib.sha256(json.dumps([_code(run), spec.deciding()], sort_keys=True).encode())
    digest.update(model_digest(Path(run.model)).encode())
    if run.start is not None:
        digest.update(b"start" + model_digest(Path(run.start)).encode())
    tokenizer = load_tokenizer(run.model)
    digest.update(repr(prompt_ids(tokenizer, run.rows["prompt"].head(1).tolist())).encode())
    digest.update(pd.util.hash_pandas_object(run.rows, index=False).to_numpy().tobytes())
    digest.update(pd.util.hash_pandas_object(run.validation, index=False).to_numpy().tobytes())
    for array in [] if run.labels is None else validation_arrays(run.labels).values():
        digest.update(array.tobytes())
    if run.problem is not None:
        digest.update(problem_digest(run.problem).encode())
    for model in [run.scorer, *_judging(run)]:
        if model is not None and model.is_dir():
            digest.update(model_digest(model).encode())
    directory = Path(work_dir) / f"{run.name}-{digest.hexdigest()[:12]}"
    directory.mkdir(parents=True, exist_ok=True)
    run.rows.to_parquet(directory / ROWS)
    write_validation(run.validation, run.labels, directory)
    if run.problem is not None:
        write_problem(run.problem, directory)
    spec.write(directory)
    return directory


def _code(run: TrainingRun) -> str:
    """Digest of the training code with the packages this run has a use for; others may come and go beside it."""
    code = code_of_module(TRAINING_CODE)
    unused = set(ADAPTERS) if run.lora is None else set()
    if not isinstance(run.lag, FreshLag) or run.lag.judge in NO_TEXT_RULES:
        unused |= set(TEXT_RULES)
    used = {name: version for name, version in code.versions.items() if name not in unused}
    return replace(code, versions=used).digest


def _judging(run: TrainingRun) -> list[Path]:
    """Models that judge fresh responses, as they are named."""
    if not isinstance(run.lag, FreshLag):
        return []
    named = [model for _, model in sorted(run.lag.reward_models.items())]
    chat = run.lag.chat
    return [Path(model) for model in [*named, chat.model if chat is not None else None] if model]
