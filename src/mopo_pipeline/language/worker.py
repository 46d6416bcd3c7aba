"""One training process. Knows nothing of Kedro: it reads a directory and leaves its result there."""

import json
import logging
import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError

from mopo_pipeline.errors import InputError, MopoError
from mopo_pipeline.language.checkpoints import last_complete_checkpoint, seal, write_error
from mopo_pipeline.language.lag import DualProblem, LagState, period_rows, refresh
from mopo_pipeline.language.launch import record_failure
from mopo_pipeline.language.lengths import ended_column
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.merging import check_mergeable
from mopo_pipeline.language.problem_files import read_problem
from mopo_pipeline.language.processes import from_first, rank_and_world, sole_run
from mopo_pipeline.language.resample import Resampler, stepped_values
from mopo_pipeline.language.schedule import RowSchedule
from mopo_pipeline.language.tokens import EncodedRows, encode
from mopo_pipeline.language.trainer import (
    FirstLogprobs,
    ProgressCallback,
    RefreshCallback,
    WeightedTrainer,
)
from mopo_pipeline.language.watch import DiagnosisCallback, training_findings
from mopo_pipeline.mopo import Limits, tempered
from mopo_pipeline.parameters.train import FitParams, LagParams, LoraParams
from mopo_pipeline.progress import progress_bar

FINAL, LOG = "final", "log.json"


def main(directory: Path) -> None:
    """Train as ``spec.json`` in ``directory`` says; resume where a killed run stopped."""
    with sole_run(directory), progress_bar() as progress:
        spec: dict[str, Any] = json.loads((directory / "spec.json").read_text(encoding="utf-8"))
        fit = FitParams(**spec["fit"])
        check_precision(fit)
        trainer, tokenizer = prepare_trainer(directory, spec, fit)
        trainer.add_callback(ProgressCallback(progress, spec["name"]))
        truncated = trainer.rows.truncated
        checkpoint = last_complete_checkpoint(directory)
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        finish(directory, trainer, tokenizer, truncated)


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
        trainer.add_callback(RefreshCallback(lag.every, partial(trainer.refreshing, act)))
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


def add_adapter(model: Any, params: LoraParams, seed: int) -> Any:
    """Wrap a frozen base with a fresh low-rank adapter."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise InputError("adapters need peft: pip install 'mopo_pipeline[lora]'") from error
    targets = params.target_modules
    config = LoraConfig(
        r=params.r,
        lora_alpha=params.alpha,
        lora_dropout=params.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return get_peft_model(model, config)


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


def offline_refresh(
    trainer: WeightedTrainer,
    problem: DualProblem,
    lag: LagParams,
    spec: dict[str, Any],
) -> None:
    """Move the reference to the policy of one lag ago, reweigh this period's rows."""
    state, every = trainer.lag_state, int(lag.every or 0)
    rows = lag.rows or every * trainer.schedule.batch_size
    this, following = (
        period_rows(problem.groups, rows, spec["seed"], state.refreshes + later) for later in (1, 2)
    )
    last = trainer.state.global_step + every >= trainer.state.max_steps
    state = refresh(
        state,
        problem,
        state.pending_logprob if last else trainer.logprobs_now(following),
        this,
        max_ratio=lag.max_ratio,
        beta=lag.beta,
        min_ess=lag.min_ess,
        max_multiplier=lag.max_multiplier,
    )
    trainer.take_rows(trainer.rows, from_first(state))


def finish(
    directory: Path, trainer: WeightedTrainer, tokenizer: Any, truncated: NDArray[np.bool_]
) -> None:
    """Leave model, tokenizer and log; the sealed ``final`` says the run reached its end.

    All processes take part: where the model is shared out among them, it is gathered first.
    """
    state = trainer.accelerator.get_state_dict(trainer.deepspeed or trainer.model)
    if not trainer.args.should_save:
        return
    model = trainer.accelerator.unwrap_model(trainer.model)
    tied = getattr(model, "all_tied_weights_keys", {})
    state = {name: tensor for name, tensor in state.items() if name not in tied}
    final = directory / FINAL
    history = [entry for entry in trainer.state.log_history if "weighted_nll" in entry]
    facts = {
        "history": history,
        "truncated": int(truncated.sum()),
        "rows": len(truncated),
        "findings": training_findings(trainer.callback_handler.callbacks),
    }
    try:
        shutil.rmtree(final, ignore_errors=True)
        (directory / LOG).write_text(json.dumps(facts), encoding="utf-8")
        model.save_pretrained(final, state_dict=state)
        model.generation_config.save_pretrained(final)
        tokenizer.save_pretrained(final)
        seal(final)
    except (OSError, SafetensorError) as error:
        raise write_error(final, error) from error


if __name__ == "__main__":
    run_directory, (own_rank, _) = Path(sys.argv[1]), rank_and_world()
    if own_rank:
        logging.disable(logging.WARNING)
    try:
        main(run_directory)
    except BaseException as failure:
        record_failure(run_directory, own_rank, failure)
        if isinstance(failure, MopoError):
            sys.exit(f"rank {own_rank}: {failure}")
        raise
