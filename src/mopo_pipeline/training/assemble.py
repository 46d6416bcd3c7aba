"""From a run directory to a trainer that is ready: model, rows, arguments, refreshes."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.adapters import add_adapter, check_mergeable
from mopo_pipeline.language.lengths import ended_column
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.processes import rank_and_world
from mopo_pipeline.language.tokens import EncodedRows, encode
from mopo_pipeline.mopo import Limits, tempered
from mopo_pipeline.mopo.problem import DualProblem
from mopo_pipeline.mopo.schedule.fresh import stepped_values
from mopo_pipeline.mopo.schedule.lag import LagState
from mopo_pipeline.parameters.fit import FitParams, LoraParams
from mopo_pipeline.parameters.train import LagParams
from mopo_pipeline.training.callbacks import FirstLogprobs, RefreshCallback
from mopo_pipeline.training.problem_files import read_problem
from mopo_pipeline.training.refresh_fresh import Resampler
from mopo_pipeline.training.refresh_offline import offline_refresh
from mopo_pipeline.training.row_schedule import RowSchedule
from mopo_pipeline.training.trainer import WeightedTrainer
from mopo_pipeline.training.watch import DiagnosisCallback


def prepare_trainer(
    directory: Path, spec: dict[str, Any], fit: FitParams
) -> tuple[WeightedTrainer, Any]:
    """Model, rows and refreshes of a run directory, ready to train; the tokenizer beside it."""
    lag = LagParams(**spec["lag"])
    adapter = spec["lora"] is not None
    # Optimisers lose small updates in bfloat16: trained weights stay in float32, computed in bfloat16.
    model, tokenizer = load_model(
        spec["model"], dtype=fit.dtype if adapter else "float32", device="cpu"
    )
    if adapter:
        model = add_adapter(model, LoraParams(**spec["lora"]), spec["seed"])
        if spec["name"] == "reference":
            check_mergeable(model)
    table = pd.read_parquet(directory / "rows.parquet")
    context = spec["context"]
    prompts, responses = table["prompt"].tolist(), table["response"].tolist()
    rows = encode(tokenizer, prompts, responses, context, ended_column(table))
    problem = read_problem(directory)
    state = initial_state(table, problem)
    if lag.on_policy and problem is not None:
        weights = tempered(state.weights, lag.target_ess)
        targets = stepped_values(
            state.weights, lag.target_ess, problem.multipliers, problem.tau, problem.win_rates,
            problem.groups,
        )  # fmt: skip
        state = replace(state, weights=weights, targets=targets)
    trainer = build_trainer(directory, spec, fit, model, tokenizer, rows, state, problem)
    if fit.dtype != "float32" and np.isfinite(state.initial_logprob).all():
        trainer.add_callback(FirstLogprobs(trainer))
    if problem is not None:
        limits = Limits(min_ess=lag.min_ess, max_multiplier=lag.max_multiplier)
        trainer.add_callback(DiagnosisCallback(problem.objectives, lag.every, limits))
    if lag.every is not None and problem is not None:
        trainer.rebuild = lambda fresh: encode(
            tokenizer, fresh["prompts"], fresh["responses"], context, fresh["ended"]
        )
        if lag.on_policy:
            held_out = pd.read_parquet(directory / "held_out.parquet")
            act = Resampler(trainer, problem, lag, spec, table, rows, held_out, tokenizer).refresh
        else:
            act = partial(offline_refresh, trainer, problem, lag, spec)
        trainer.add_callback(RefreshCallback(lag.every, partial(trainer.watched.refreshing, act)))
    return trainer, tokenizer


def check_precision(fit: FitParams) -> None:
    """Refuse bfloat16 on a GPU that emulates it.

    Raises:
        InputError: names the GPU.
    """
    if fit.dtype == "bfloat16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise InputError(
            f"{torch.cuda.get_device_name()} has no bfloat16: set fit.dtype to float32"
        )


def initial_state(table: pd.DataFrame, problem: DualProblem | None) -> LagState:
    """Planned weights, the reference where the data came from."""
    logprob = table["reference_logprob"].to_numpy(dtype=np.float64)
    return LagState(
        weights=table["weight"].to_numpy(dtype=np.float64),
        initial_logprob=logprob,
        lagged_logprob=logprob,
        pending_logprob=logprob,
        multipliers=np.zeros(0) if problem is None else problem.multipliers,
        thresholds=np.zeros(0) if problem is None else problem.thresholds,
        bounds=np.zeros(0) if problem is None else problem.bounds,
        targets=np.zeros(0) if problem is None else problem.values,
        active=np.ones(len(table), dtype=bool),
    )


def build_trainer(
    directory: Path,
    spec: dict[str, Any],
    fit: FitParams,
    model: Any,
    tokenizer: Any,
    rows: EncodedRows,
    state: LagState,
    problem: DualProblem | None,
) -> WeightedTrainer:
    """Trainer and arguments for one run."""
    from transformers import TrainingArguments

    world = rank_and_world()[1]
    args = TrainingArguments(
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
        seed=spec["seed"],
        report_to="none",
        disable_tqdm=True,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        ddp_find_unused_parameters=False if world > 1 else None,
    )
    trainer = WeightedTrainer(
        model=model,
        args=args,
        rows=rows,
        state=state,
        schedule=RowSchedule(rows.lengths, fit.batch_size * fit.accumulation, spec["seed"]),
        weighting=fit.weighting,
        objectives=("",) if problem is None else problem.objectives,
        tokenizer=tokenizer,
    )
    return trainer
