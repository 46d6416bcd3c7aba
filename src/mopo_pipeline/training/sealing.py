"""A ``transformers.Trainer`` whose checkpoints are whole or not there."""

import shutil
from pathlib import Path
from typing import Any

from transformers import Trainer

from mopo_pipeline.language.quiet import while_rotating
from mopo_pipeline.language.sealed import seal
from mopo_pipeline.training.checkpoints import written_whole

SEALING = ("_save_checkpoint",)
"""Private methods of ``transformers.Trainer`` replaced here."""


class SealingTrainer(Trainer):
    """Seals what it has written whole, and removes what a full disk cut short."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a checkpoint and seal it; what a full disk cut short is removed."""
        target = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            shutil.rmtree(target, ignore_errors=True)  # of a killed run, found damaged
        self.accelerator.wait_for_everyone()
        with written_whole(target), while_rotating():
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                seal(target)
