"""Out to another trainer and back: rows are exported, an adapter is trained with TRL, and it gets its certificate here."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from conftest import PROJECT, kedro
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.pipeline_registry import register_pipelines

FILES = ("rows_loss_scale", "rows_messages", "rows_tokens")


def test_the_row_export_brings_the_plan_and_the_reference_and_trains_no_policy() -> None:
    rows = register_pipelines()["rows"]
    assert all(name.startswith("params:") for name in rows.inputs())
    assert {"rows_manifest", *FILES, "reference_policy"} <= rows.all_outputs()
    assert "policy" not in rows.all_outputs()


def trained_with_trl(root: Path, target: Path) -> None:
    """A LoRA adapter of the reference, by SFTTrainer on the exported tokens."""
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    from datasets import load_dataset

    model, tokenizer = load_model(root / "06_models/reference_policy", device="cpu")
    file = str(root / "05_model_input/rows_tokens.jsonl")
    arguments: dict[str, Any] = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False}
    trainer = SFTTrainer(
        model=model,
        processing_class=tokenizer,
        train_dataset=load_dataset("json", data_files=file, split="train"),
        peft_config=LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"),
        args=SFTConfig(
            output_dir=str(target / "runs"),
            max_steps=4,
            per_device_train_batch_size=8,
            learning_rate=0.01,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
            **arguments,
        ),
    )
    seen = next(iter(trainer.get_train_dataloader()))
    assert ((seen["labels"] == seen["input_ids"]) | (seen["labels"] == -100)).all()
    assert (seen["labels"] == -100).any(dim=1).all()
    trainer.train()
    trainer.save_model(str(target))


@pytest.mark.slow
def test_rows_go_out_to_trl_and_its_adapter_comes_back_for_a_certificate(
    tiny_run: Path, tmp_path: Path
) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "sft"
    shutil.copytree(tiny_run, root)
    done = kedro("--pipelines=rows", "--only-missing-outputs", data_root=root)
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = json.loads((root / "05_model_input/rows_manifest.json").read_text())
    plan = json.loads((root / "05_model_input/training_plan.json").read_text())
    assert (manifest["multipliers"], manifest["tau"]) == (plan["multipliers"], plan["tau"])
    lines = [(root / f"05_model_input/{name}.jsonl").read_text().splitlines() for name in FILES]
    assert [len(file) for file in lines[1:]] == [manifest["rows"]["drawn"]] * 2
    assert len(lines[0]) == manifest["rows"]["weighted"]

    trained_with_trl(root, elsewhere)
    page = (PROJECT / "docs/guide/other_trainers.md").read_text(encoding="utf-8")
    [said] = re.findall(r"^kedro run --from-nodes=.*train\.policy=out/sft$", page, flags=re.M)
    done = kedro(*said.replace("out/sft", str(elsewhere)).split()[2:], data_root=root)
    assert done.returncode == 0, done.stdout + done.stderr
    certificate = json.loads((root / "08_reporting/certificate.json").read_text())
    assert certificate["verdict"] in ("certified", "not certified", "undecidable")
    assert all(entry["value"] is not None for entry in certificate["thresholds"])
    assert any("trained elsewhere" in assumed for assumed in certificate["assumed"])
    assert "Trained elsewhere" in (root / "06_models/policy/README.md").read_text()
    assert pd.read_parquet(root / "06_models/training_log.parquet").empty
    scored = pd.read_parquet(root / "07_model_output/test_logprobs.parquet")
    moved = np.abs(scored["logprob_policy"] - scored["logprob_reference"])
    assert moved.max() > 0.01
    assert not (elsewhere / "mopo.json").exists()
