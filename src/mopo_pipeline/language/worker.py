"""One training process. Knows nothing of Kedro: it reads a directory and leaves its result there."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.checkpoints import last_complete_checkpoint
from mopo_pipeline.language.fresh import FreshRows, draw_fresh_rows
from mopo_pipeline.language.lag import DualProblem, LagState, TrainingStoppedError, refresh
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.problem_files import read_problem
from mopo_pipeline.language.schedule import RowSchedule
from mopo_pipeline.language.tokens import EncodedRows, encode
from mopo_pipeline.language.trainer import ProgressCallback, RefreshCallback, WeightedTrainer
from mopo_pipeline.mopo import InfeasibleThresholdsError, solve_dual
from mopo_pipeline.parameters.train import FitParams, LagParams, LoraParams
from mopo_pipeline.progress import progress_bar

FINAL, LOG, COMPLETE = "final", "log.json", "complete"


def main(directory: Path) -> None:
    """Train as ``spec.json`` in ``directory`` says; resume where a killed run stopped."""
    spec: dict[str, Any] = json.loads((directory / "spec.json").read_text())
    fit, lag = FitParams(**spec["fit"]), LagParams(**spec["lag"])
    check_device(fit)
    model, tokenizer = load_model(spec["model"], dtype=fit.dtype)
    if spec["lora"] is not None:
        model = add_adapter(model, LoraParams(**spec["lora"]), spec["seed"])
    table = pd.read_parquet(directory / "rows.parquet")
    rows = encode(tokenizer, table["prompt"].tolist(), table["response"].tolist(), fit.max_length)
    problem = read_problem(directory)
    trainer = build_trainer(
        directory, spec, fit, model, tokenizer, rows, initial_state(table, problem), problem
    )
    if lag.every is not None and problem is not None:
        trainer.rebuild = lambda fresh: encode(
            tokenizer, fresh["prompts"], fresh["responses"], fit.max_length
        )
        act = resample_refresh if lag.on_policy else offline_refresh
        trainer.add_callback(
            RefreshCallback(
                lag.every, lambda: act(trainer, problem, lag, spec, table, tokenizer, fit)
            )
        )
    checkpoint = last_complete_checkpoint(directory)
    with progress_bar() as progress:
        trainer.add_callback(ProgressCallback(progress, spec["name"]))
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    if trainer.args.should_save:
        finish(directory, trainer, tokenizer, rows)


def check_device(fit: FitParams) -> None:
    """Refuse what this machine cannot do before anything is loaded.

    Raises:
        InputError: bfloat16 without hardware support, or more processes than devices.
    """
    cuda = torch.cuda.is_available() and fit.device == "auto"
    if fit.dtype == "bfloat16" and cuda and not torch.cuda.is_bf16_supported():
        raise InputError("this GPU does not support bfloat16: set fit.dtype to float32")
    if cuda and fit.processes > torch.cuda.device_count():
        raise InputError(
            f"fit.processes is {fit.processes}, but there are {torch.cuda.device_count()} GPUs"
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

    world = int(os.environ.get("WORLD_SIZE", "1"))
    if fit.batch_size % world:
        raise InputError(f"fit.batch_size {fit.batch_size} cannot be shared by {world} processes")
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
    trainer: WeightedTrainer, problem: DualProblem, lag: LagParams, *_: Any
) -> None:
    """Move the reference to the policy of one lag ago, reweigh the same rows."""
    state = refresh(
        trainer.lag_state,
        problem,
        trainer.logprobs_now(),
        max_ratio=lag.max_ratio,
        beta=lag.beta,
        min_ess=lag.min_ess,
        max_multiplier=lag.max_multiplier,
    )
    trainer.take_rows(trainer.rows, state)


def resample_refresh(
    trainer: WeightedTrainer,
    problem: DualProblem,
    lag: LagParams,
    spec: dict[str, Any],
    table: pd.DataFrame,
    tokenizer: Any,
    fit: FitParams,
) -> None:
    """Draw fresh responses from the policy, solve the duals on them, train on them."""
    from mopo_pipeline.preferences.model import PreferenceModel

    count = trainer.lag_state.refreshes + 1
    behaviour = table.groupby("prompt", sort=False)["response"].apply(list).to_dict()
    fresh = draw_fresh_rows(
        trainer.accelerator.unwrap_model(trainer.model),
        tokenizer,
        PreferenceModel.load(Path(spec["scorer"])),
        behaviour,
        n_prompts=lag.fresh_prompts,
        n_responses=lag.fresh_responses,
        max_new_tokens=lag.max_new_tokens,
        top_p=lag.top_p,
        seed=spec["seed"] * 1009 + count,
    )
    thresholds = (
        trainer.lag_state.thresholds if lag.beta is None else lag.beta * trainer.lag_state.bounds
    )
    state = solve_fresh(trainer.lag_state, problem, fresh, thresholds)
    trainer.fresh = {"prompts": fresh.prompts, "responses": fresh.responses}
    rows = encode(tokenizer, fresh.prompts, fresh.responses, fit.max_length)
    trainer.take_rows(rows, state)
    logprob = trainer.logprobs_now()
    trainer.lag_state = replace(
        state, initial_logprob=logprob, lagged_logprob=logprob, pending_logprob=logprob
    )


def solve_fresh(
    state: LagState, problem: DualProblem, fresh: FreshRows, thresholds: np.ndarray
) -> LagState:
    """Weights of fresh rows; the margin the plan kept for label noise is kept here."""
    margin = problem.margins
    try:
        solution = solve_dual(
            fresh.win_rates,
            thresholds + margin,
            tau=problem.tau,
            groups=fresh.groups,
            pooling=problem.pooling,
            variant=problem.variant,
        )
    except InfeasibleThresholdsError as error:
        raise TrainingStoppedError(
            f"fresh responses of the policy can no longer meet the thresholds: {error}"
        ) from error
    weights = solution.ratio / solution.ratio.mean()
    return replace(
        state,
        weights=weights,
        multipliers=solution.multipliers,
        thresholds=thresholds,
        bounds=solution.values[1:] - margin,
        ess=1.0,
        refreshes=state.refreshes + 1,
    )


def finish(directory: Path, trainer: WeightedTrainer, tokenizer: Any, rows: EncodedRows) -> None:
    """Leave model, tokenizer and log; the empty file ``complete`` says the run reached its end."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    final = directory / FINAL
    model.save_pretrained(final, safe_serialization=True)
    tokenizer.save_pretrained(final)
    history = [entry for entry in trainer.state.log_history if "weighted_nll" in entry]
    log = {"history": history, "truncated": int(rows.truncated.sum()), "rows": len(rows.ids)}
    (directory / LOG).write_text(json.dumps(log))
    (directory / COMPLETE).touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
