"""From a run directory to a trainer that is ready: model, rows, arguments, refreshes."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import TrainerCallback, TrainingArguments
from transformers.trainer_callback import TrainerControl, TrainerState

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.adapters import add_adapter, check_mergeable
from mopo_pipeline.language.lengths import ended_column
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.processes import rank_and_world
from mopo_pipeline.language.tokens import EncodedRows, encode
from mopo_pipeline.mopo import Limits, tempered
from mopo_pipeline.mopo.problem import DualProblem
from mopo_pipeline.mopo.schedule.fresh import stepped_values
from mopo_pipeline.mopo.schedule.state import LagState, divergence
from mopo_pipeline.parameters.fit import FitParams
from mopo_pipeline.parameters.lag import FreshLag, LagParams, NoLag, OfflineLag
from mopo_pipeline.training.callbacks import (
    CorrectionCallback,
    FirstLogprobs,
    LookCallback,
    RefreshCallback,
    SavedIsLogged,
)
from mopo_pipeline.training.candidates import (
    PASSED,
    CandidateCallback,
    PassingCallback,
    passing_steps,
)
from mopo_pipeline.training.patience import end_early
from mopo_pipeline.training.problem_files import read_problem
from mopo_pipeline.training.refresh_fresh import FreshRefresh
from mopo_pipeline.training.refresh_offline import OfflineLoop, correction_steps
from mopo_pipeline.training.row_schedule import RowSchedule
from mopo_pipeline.training.run_spec import ROWS, VALIDATION, RunSpec
from mopo_pipeline.training.start import StartCallback
from mopo_pipeline.training.trainer import WeightedTrainer
from mopo_pipeline.training.validation import LabelledAnswers, read_labelled
from mopo_pipeline.training.watch import DiagnosisCallback


def prepare_trainer(directory: Path, spec: RunSpec) -> tuple[WeightedTrainer, Any]:
    """Model, rows and refreshes of a run directory, ready to train; the tokenizer beside it."""
    model, tokenizer = initial_model(spec)
    table = pd.read_parquet(directory / ROWS)
    prompts, responses = table["prompt"].tolist(), table["response"].tolist()
    rows = encode(tokenizer, prompts, responses, spec.context, ended_column(table))
    problem = read_problem(directory)
    state = initial_state(table, problem, spec.lag, spec.start)
    trainer = build_trainer(directory, spec, model, tokenizer, rows, state, problem)
    trainer.add_callback(SavedIsLogged)
    labelled = read_labelled(directory, tokenizer, spec.context)
    answers = None
    if labelled is not None:
        answers, trainer.first_validation = labelled
    if computed_otherwise(spec) and np.isfinite(state.initial_logprob).all():
        trainer.add_callback(FirstLogprobs(trainer, None if answers is None else answers.rows))
    if spec.start is not None:
        trainer.add_callback(StartCallback(trainer, spec.start))
    if problem is not None:
        lag = spec.lag
        every = None if isinstance(lag, NoLag) else lag.every
        trainer.add_callback(DiagnosisCallback(problem.objectives, every, run_limits(lag)))
        for callback in loop_of(trainer, problem, spec, directory, table, tokenizer, answers):
            trainer.add_callback(callback)
    return trainer, tokenizer


def computed_otherwise(spec: RunSpec) -> bool:
    """Whether the first model is not the reference as it was scored: in bfloat16, or with weights in 4 bits."""
    return spec.fit.dtype != "float32" or (spec.lora is not None and spec.lora.load_in_4bit)


def initial_model(spec: RunSpec) -> tuple[Any, Any]:
    """The model before its first step, with an adapter where one is trained; its tokenizer.

    Optimisers lose small updates in bfloat16: trained weights stay in float32, computed in bfloat16. A base in 4 bits is
    loaded where it is trained.
    """
    dtype = "float32" if spec.lora is None else spec.fit.dtype
    quantised = spec.lora is not None and spec.lora.load_in_4bit
    device = spec.fit.device if quantised else "cpu"
    model, tokenizer = load_model(spec.model, dtype=dtype, device=device, load_in_4bit=quantised)
    if spec.lora is not None:
        model = add_adapter(model, spec.lora, spec.seed)
        if spec.name == "reference":
            check_mergeable(model)
    return model, tokenizer


def loop_of(
    trainer: WeightedTrainer,
    problem: DualProblem,
    spec: RunSpec,
    directory: Path,
    table: pd.DataFrame,
    tokenizer: Any,
    answers: LabelledAnswers | None,
) -> list[TrainerCallback]:
    """What happens between steps: fresh responses are drawn, or the data's rows weighed again."""
    data, lag, timed = trainer.rows, spec.lag, trainer.watched.refreshing
    trainer.rebuild = lambda fresh: encode(
        tokenizer, fresh["prompts"], fresh["responses"], spec.context, fresh["ended"]
    )
    first = spec.model if spec.lora is None else None
    passing = passing_steps(spec.fit.steps, spec.loop.checkpoints)
    ending = partial(
        CandidateCallback,
        trainer,
        problem.objectives,
        spec.loop.candidates,
        first,
        passed={step: directory / PASSED.format(step=step) for step in passing},
    )
    kept: list[TrainerCallback] = [PassingCallback(trainer, passing, directory)] if passing else []

    def ended(state: TrainerState, control: TrainerControl) -> None:
        end_early(trainer.lag_state, spec.loop.patience, state, control)

    if isinstance(lag, FreshLag):
        validation = pd.read_parquet(directory / VALIDATION)
        drawing = FreshRefresh(trainer, problem, spec, lag, table, data, validation, tokenizer)
        act, look = partial(timed, drawing.refresh), partial(timed, drawing.look)
        acting: TrainerCallback = RefreshCallback(lag.every, act, ended)
        return [*kept, acting, LookCallback(look), ending(weigh=drawing.weigh)]
    loop = OfflineLoop(trainer, problem, answers)
    look = partial(timed, loop.look)
    if isinstance(lag, OfflineLag):
        act = partial(timed, partial(loop.refresh, lag, spec.seed))
        acting = RefreshCallback(lag.every, act, ended)
        return [*kept, acting, LookCallback(look), ending(weigh=loop.weigh)]
    steps = correction_steps(spec.fit.steps, spec.loop.rounds)
    correct = partial(timed, partial(loop.correct, lag.max_multiplier))
    acting = CorrectionCallback(steps, correct, ended)
    return [*kept, acting, LookCallback(look), ending(weigh=loop.weigh)]


def run_limits(lag: LagParams) -> Limits:
    """Where a run's findings begin; the effective share counts where the reference's mass thins the rows."""
    if isinstance(lag, OfflineLag):
        return Limits(min_ess=lag.min_ess, max_multiplier=lag.max_multiplier)
    return Limits(max_multiplier=lag.max_multiplier)


def check_precision(fit: FitParams) -> None:
    """Refuse bfloat16 on a GPU that emulates it.

    Raises:
        InputError: names the GPU.
    """
    if fit.dtype == "bfloat16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise InputError(
            f"{torch.cuda.get_device_name()} has no bfloat16: set fit.dtype to float32"
        )


def initial_state(
    table: pd.DataFrame, problem: DualProblem | None, lag: LagParams, start: Path | None = None
) -> LagState:
    """Planned weights, the reference where the data came from.

    Args:
        table: N rows: weight, reference_logprob.
        problem: thresholds to hold; None holds none.
        lag: where the policy's own responses will be trained on, the first step is tempered as theirs are, and its
            targets are what their judge says of it.
        start: a policy that is on its way already; its first step is the whole plan's, on the data's rows: what this
             policy itself says is that of another plan, which may lie too far from this one to be weighed.
    """
    logprob = table["reference_logprob"].to_numpy(dtype=np.float64)
    none = np.zeros(0)
    state = LagState(
        weights=table["weight"].to_numpy(dtype=np.float64),
        initial_logprob=logprob,
        lagged_logprob=logprob,
        pending_logprob=logprob,
        multipliers=none if problem is None else problem.multipliers,
        thresholds=none if problem is None else problem.thresholds,
        bounds=none if problem is None else problem.bounds,
        targets=none if problem is None else problem.values,
        active=np.ones(len(table), dtype=bool),
    )
    if problem is not None:
        state = replace(state, moves=np.array([divergence(state.weights, problem.groups)]))
    if problem is None or not isinstance(lag, FreshLag) or start is not None:
        return state
    targets = stepped_values(
        state.weights,
        lag.target_ess,
        problem.multipliers,
        problem.tau,
        problem.win_rates,
        problem.groups,
        problem.judged,
    )
    weights = tempered(state.weights, lag.target_ess)
    moves = np.array([divergence(weights, problem.groups)])
    return replace(state, weights=weights, targets=targets, moves=moves)


def training_arguments(directory: Path, spec: RunSpec) -> TrainingArguments:
    """A run's parameters by the library's names."""
    fit, world = spec.fit, rank_and_world()[1]
    return TrainingArguments(
        output_dir=str(directory),
        max_steps=fit.steps,
        per_device_train_batch_size=fit.batch_size // world,
        gradient_accumulation_steps=fit.accumulation,
        learning_rate=fit.learning_rate,
        lr_scheduler_type=fit.schedule,
        warmup_steps=round(fit.warmup_share * fit.steps),
        weight_decay=fit.weight_decay,
        max_grad_norm=fit.max_gradient_norm,
        logging_steps=fit.log_every,
        logging_nan_inf_filter=False,
        save_steps=fit.save_every,
        save_total_limit=2,
        activation_checkpointing=fit.gradient_checkpointing,
        bf16=fit.dtype == "bfloat16",
        use_cpu=fit.device == "cpu" or not torch.cuda.is_available(),
        seed=spec.seed,
        report_to=list(fit.report_to) or "none",
        disable_tqdm=True,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        ddp_find_unused_parameters=False if world > 1 else None,
    )


def build_trainer(
    directory: Path,
    spec: RunSpec,
    model: Any,
    tokenizer: Any,
    rows: EncodedRows,
    state: LagState,
    problem: DualProblem | None,
) -> WeightedTrainer:
    """The trainer of one run."""
    fit = spec.fit
    return WeightedTrainer(
        model=model,
        args=training_arguments(directory, spec),
        rows=rows,
        state=state,
        schedule=RowSchedule(rows.lengths, fit.batch_size * fit.accumulation, spec.seed),
        weighting=fit.weighting,
        objectives=("",) if problem is None else problem.objectives,
        tokenizer=tokenizer,
    )
