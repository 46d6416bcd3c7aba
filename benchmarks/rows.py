"""The plan trained here and trained elsewhere: our trainer beside TRL's SFTTrainer on the exported rows.

One plan and one reference of the pocket task (``kedro run --pipelines=rows``); then each trainer trains a policy per seed
with the same steps, batch, schedule and optimiser: ours on the plan's weights, SFTTrainer on ``rows_tokens.jsonl``. Values
are exact, on the test prompts. Two policies are held against each other by the total variation between their answers,
mean over prompts, which is that of two seeds of one trainer where the trainers do the same.

A quarter of an hour on two busy cores. Run: ``make bench-rows``, or ``python benchmarks/rows.py [--seeds 0 1 2] [--work-dir W]``.
The last line is ``ratio: <name>=<number> ...``: ``variation`` between trainers over that between seeds of ours, ``gap`` the
largest difference of mean values, ``gap_in_errors`` the same in standard errors over seeds.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

PROJECT = Path(__file__).parents[1]
BATCH, RATE, WARMUP = 64, 0.002, 0.05
OURS, SFT = "ours", "SFTTrainer"


def main() -> None:
    """Plan once, train each policy that is not there yet, value all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument(
        "--prompts", type=int, default=None, help="test prompts; all where not said"
    )
    parser.add_argument("--work-dir", type=Path, default=None)
    options = parser.parse_args()
    work = options.work_dir or Path(tempfile.mkdtemp(prefix="bench-rows-"))
    if not (work / "05_model_input/rows_manifest.json").is_file():
        plan_rows(work, options.steps)
    responses = pd.read_parquet(work / "03_primary/responses.parquet")
    prompts = (
        responses.loc[responses["split"] == "test", "prompt"].unique()[: options.prompts].tolist()
    )
    mass = {}
    for seed, (name, train) in product(options.seeds, ((OURS, train_ours), (SFT, train_sft))):
        target = work / "policies" / f"{name}-{seed}"
        if not (target / "config.json").is_file():
            start = time.perf_counter()
            train(work, responses, seed, options.steps, target)
            print(f"{name} seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
        mass[name, seed] = distribution(target, prompts)
    show(mass, prompts, options.seeds)


def plan_rows(work: Path, steps: int) -> None:
    """Reference, plan and rows of the base environment."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "kedro", "run", "--pipelines=rows"),
            f"--params=data_root={work.resolve()},rows.size={steps * BATCH}",
        ],
        cwd=PROJECT,
        check=False,
    )
    if done.returncode:
        sys.exit(done.returncode)


def train_ours(work: Path, responses: pd.DataFrame, seed: int, steps: int, target: Path) -> None:
    """The plan's weights on a reference that stays, no look at validation prompts."""
    import shutil

    from mopo_pipeline.launching.run import TrainingRun, train
    from mopo_pipeline.parameters.fit import FitParams
    from mopo_pipeline.policies.training_rows import training_rows

    weights = pd.read_parquet(work / "05_model_input/row_weights.parquet")
    scored = pd.read_parquet(work / "05_model_input/reference_logprobs.parquet")
    rows = training_rows(responses, weights, scored)
    table = rows[["prompt", "response", "ended", "weight"]].assign(
        reference_logprob=rows["logprob"]
    )
    fit = FitParams(
        steps=steps,
        batch_size=BATCH,
        learning_rate=RATE,
        warmup_share=WARMUP,
        weight_decay=0.0,
        save_every=steps,
        device="cpu",
    )
    run = TrainingRun(
        "policy",
        work / "06_models/reference_policy",
        table,
        fit.over(len(table)),
        seed,
        context=int(scored["context"].iloc[0]),
    )
    shutil.copytree(train(run, work / "runs").directory, target)


def train_sft(work: Path, _: pd.DataFrame, seed: int, steps: int, target: Path) -> None:
    """TRL on the rows that were drawn, once over."""
    from trl import SFTConfig, SFTTrainer

    from datasets import load_dataset
    from mopo_pipeline.language.loading import load_model

    model, tokenizer = load_model(work / "06_models/reference_policy", device="cpu")
    file = str(work / "05_model_input/rows_tokens.jsonl")
    trainer = SFTTrainer(
        model=model,
        processing_class=tokenizer,
        train_dataset=load_dataset("json", data_files=file, split="train"),
        args=SFTConfig(
            output_dir=str(work / "runs" / f"sft-{seed}"),
            max_steps=steps,
            per_device_train_batch_size=BATCH,
            learning_rate=RATE,
            lr_scheduler_type="cosine",
            warmup_steps=round(WARMUP * steps),
            weight_decay=0.0,
            max_grad_norm=1.0,
            seed=seed,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
    )
    trainer.train()
    trainer.save_model(str(target))


def distribution(policy: Path, prompts: list[str]) -> np.ndarray:
    """Probability of every answer to every prompt, (prompts, answers)."""
    from mopo_pipeline.evaluation.exact import answer_mass
    from mopo_pipeline.parameters.evaluate import EvaluateParams
    from mopo_pipeline.pocket.task import exact_problem

    problem = exact_problem(prompts)
    rows = [prompts[group] for group in problem.groups]
    params = EvaluateParams(batch_tokens=16384)
    return answer_mass(policy, rows, list(problem.texts), params, policy.name).reshape(
        len(prompts), -1
    )


def show(mass: dict[tuple[str, int], np.ndarray], prompts: list[str], seeds: list[int]) -> None:
    """Values by trainer and seed, and the line of ratios."""
    from mopo_pipeline.pocket.task import OBJECTIVES, exact_problem

    win_rates = np.asarray(exact_problem(prompts).win_rates).reshape(len(prompts), -1, 3)
    values = {
        key: np.einsum("pa,pak->k", own, win_rates) / len(prompts) for key, own in mass.items()
    }
    table = pd.DataFrame(
        [
            {"trainer": name, "seed": seed, **dict(zip(OBJECTIVES, found, strict=True))}
            | {"well_formed": mass[name, seed].sum(axis=1).mean()}
            for (name, seed), found in values.items()
        ]
    )
    print(table.round(4).to_string(index=False))
    within = {
        name: [apart(mass[name, a], mass[name, b]) for a, b in combinations(seeds, 2)]
        for name in (OURS, SFT)
    }
    between = [apart(mass[OURS, a], mass[SFT, b]) for a, b in product(seeds, seeds)]
    means: dict[str, Any] = {
        name: np.array([values[name, seed] for seed in seeds]) for name in (OURS, SFT)
    }
    gap = means[OURS].mean(axis=0) - means[SFT].mean(axis=0)
    error = np.sqrt(sum(m.var(axis=0, ddof=1) / len(seeds) for m in means.values()))
    print(
        f"total variation: between trainers {np.mean(between):.4f}, between seeds of ours {np.mean(within[OURS]):.4f}, "
        f"of SFTTrainer {np.mean(within[SFT]):.4f}"
    )
    print(
        f"ratio: variation={np.mean(between) / np.mean(within[OURS]):.3f} gap={np.abs(gap).max():.4f} "
        f"gap_in_errors={np.abs(gap / error).max():.2f}"
    )


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Total variation (prompts, answers) between two policies, what is malformed left out, mean over prompts."""
    return float(np.abs(one - other).sum(axis=1).mean() / 2)


if __name__ == "__main__":
    main()
