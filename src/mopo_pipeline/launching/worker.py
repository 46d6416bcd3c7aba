"""One training process. Knows nothing of Kedro: it reads a directory and leaves its result there."""

import json
import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from mopo_pipeline.errors import MopoError
from mopo_pipeline.language.processes import rank_and_world
from mopo_pipeline.language.sealed import seal
from mopo_pipeline.launching.estimate import tell_cost
from mopo_pipeline.launching.failures import record_failure
from mopo_pipeline.launching.lock import sole_run
from mopo_pipeline.memory import exhausted, memory_error
from mopo_pipeline.progress import progress_bar
from mopo_pipeline.training.assemble import check_precision, prepare_trainer
from mopo_pipeline.training.callbacks import ProgressCallback
from mopo_pipeline.training.candidates import choices
from mopo_pipeline.training.checkpoints import RunState, last_complete_checkpoint, write_error
from mopo_pipeline.training.patience import early_findings, stopped, take_no_step
from mopo_pipeline.training.run_spec import RunSpec
from mopo_pipeline.training.trainer import WeightedTrainer
from mopo_pipeline.training.watch import training_findings

FINAL, LOG = "final", "log.json"


def main(directory: Path) -> None:
    """Train as ``spec.json`` in ``directory`` says; resume where a killed run stopped."""
    with sole_run(directory), progress_bar() as progress:
        spec = RunSpec.read(directory)
        check_precision(spec.fit)
        trainer, tokenizer = prepare_trainer(directory, spec)
        trainer.add_callback(ProgressCallback(progress, spec.name, trainer.watched))
        truncated = trainer.rows.truncated
        checkpoint = last_complete_checkpoint(directory)
        done = 0 if checkpoint is None else int(checkpoint.name.rpartition("-")[2])
        if checkpoint is not None and stopped(RunState.read(checkpoint).lag, spec.loop.patience):
            take_no_step(trainer, done)
        else:
            tell_cost(trainer, spec.name, spec.where, spec.fit, done)
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        finish(directory, trainer, tokenizer, truncated, spec)


def finish(
    directory: Path,
    trainer: WeightedTrainer,
    tokenizer: Any,
    truncated: NDArray[np.bool_],
    spec: RunSpec,
) -> None:
    """Leave model, tokenizer and log; the sealed ``final`` says the run reached its end; ``truncated`` is (n,).

    All processes take part: where each holds a part of the model, it is gathered first.
    """
    state = trainer.accelerator.get_state_dict(trainer.deepspeed or trainer.model)
    if not trainer.args.should_save:
        return
    model = trainer.accelerator.unwrap_model(trainer.model)
    tied = getattr(model, "all_tied_weights_keys", {})
    state = {name: tensor for name, tensor in state.items() if name not in tied}
    final = directory / FINAL
    history = [entry for entry in trainer.state.log_history if "weighted_nll" in entry]
    callbacks = trainer.callback_handler.callbacks
    made = choices(callbacks)
    early = early_findings(
        trainer.lag_state, spec.loop.patience, trainer.state.global_step, spec.fit.steps
    )
    facts = {
        "history": history,
        "truncated": int(truncated.sum()),
        "rows": len(truncated),
        "findings": [
            *training_findings(callbacks),
            *(finding.as_dict() for finding in early),
            *(finding.as_dict() for choice in made for finding in choice.findings()),
        ],
        "candidates": [row for choice in made for row in choice.rows()],
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
    except BaseException as error:
        failure = error
        if exhausted(error):
            stage = RunSpec.read(run_directory).where.partition(".")[0]
            failure = memory_error(stage, error)
        record_failure(run_directory, own_rank, failure)
        if isinstance(failure, MopoError):
            sys.exit(f"rank {own_rank}: {failure}")
        raise
