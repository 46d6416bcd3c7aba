"""TRL's side of the throughput check."""

import time
from pathlib import Path
from typing import Any


def seconds_of_sft(
    model: Path, rows: Any, batch: int, steps: int, skipped: int, work: Path
) -> float:
    """Wall-clock seconds of all steps but the first ``skipped`` of SFTTrainer in bfloat16, on the same token ids."""
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from datasets import Dataset
    from mopo_pipeline.language.loading import load_model

    heads = rows.prompt_lengths.tolist()
    table = {
        "input_ids": rows.ids,
        "labels": [[-100] * n + ids[n:] for ids, n in zip(rows.ids, heads, strict=True)],
    }
    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

    loaded, tokenizer = load_model(model, device="cpu")
    trainer = SFTTrainer(
        model=loaded,
        processing_class=tokenizer,
        train_dataset=Dataset.from_dict(table),
        callbacks=[Clock()],
        args=SFTConfig(
            output_dir=str(work / "sft"),
            max_steps=steps,
            per_device_train_batch_size=batch,
            learning_rate=1e-3,
            bf16=True,
            gradient_checkpointing=False,
            logging_steps=skipped,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
    )
    trainer.train()
    return ends[-1] - ends[skipped - 1]
