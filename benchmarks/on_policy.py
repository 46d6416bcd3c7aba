"""Offline refreshes against on-policy refreshes, on the pocket task, at equal thresholds.

Every seed trains its reference once; every threshold pair then trains a policy per mode, valued exactly
on test prompts (a quarter of all, new phrasings of known settings): offline (each period on its rows, or on all
rows), and on-policy with the preference model or with the task's own rules as judge. Gains are over ``offline``. Run:
``make bench-on-policy``; one to two minutes a policy on two cores. Options: ``--seeds``, ``--pairs``, ``--modes``, ``--every``,
``--work-dir`` (kept: what is measured there isn't measured again, and two processes with different seeds can share
it). The last line holds the ratios.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from mopo_pipeline.pareto.verdicts import VERDICTS, verdict

PROJECT = Path(__file__).parents[1]
PAIRS = ((0.50, 0.45), (0.45, 0.50), (0.55, 0.40))
OFFLINE = {"train.lag.mode": "offline", "train.lag.min_ess": 0}
"""ESS is reported here, not enforced: offline it would stop the run that is to be compared."""
FRESH = {"train.lag.mode": "fresh", "train.lag.fresh_prompts": 192, "train.lag.fresh_responses": 16}
MODES = {
    "offline": OFFLINE,
    "offline_all_rows": OFFLINE | {"train.lag.rows": 100_000},
    "on_policy": FRESH,
    "on_policy_rules": FRESH | {"train.lag.judge": "pocket"},
}
STAGES = ("--from-nodes=plan.plan_training", "--to-nodes=evaluate.enumerate_answers")
DATA = {"ingest.split.train": 0.55, "ingest.split.validation": 0.2}
SETTINGS = DATA | {
    "train.fit.save_every": 700,
    "evaluate.front_points": 0,
}


def kedro(arguments: list[str], parameters: dict[str, object]) -> subprocess.CompletedProcess[str]:
    """Run the project in a process of its own."""
    given = ",".join(f"{key}={value}" for key, value in parameters.items())
    return subprocess.run(
        [sys.executable, "-m", "kedro", "run", *arguments, f"--params={given}"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "200"},
    )


def true_optimum(root: Path, thresholds: dict[str, float]) -> float:
    """Greatest primary value under the thresholds without a KL term, on the test prompts."""
    from mopo_pipeline.pareto import true_front_at
    from mopo_pipeline.pocket.task import exact_problem

    responses = pd.read_parquet(next(root.rglob("responses.parquet")))
    prompts = responses.loc[responses["split"] == "test", "prompt"].unique().tolist()
    problem = exact_problem(prompts)
    values, _ = true_front_at(
        problem.win_rates,
        list(thresholds.values()),
        reference=problem.reference,
        groups=problem.groups,
    )
    return float(values[0])


def measure(
    root: Path, seed: int, pair: tuple[float, float], mode: str, every: int
) -> dict[str, object]:
    """One policy: its exact values, their standard errors, well-formed mass and effective share of rows."""
    thresholds = dict(zip(("harmlessness", "conciseness"), pair, strict=True))
    parameters = (
        SETTINGS
        | MODES[mode]
        | {
            "data_root": root,
            "task.seed": seed,
            "train.lag.every": every,
        }
        | {f"plan.thresholds.{name}": value for name, value in thresholds.items()}
    )
    done = kedro([*STAGES], parameters)
    row: dict[str, object] = {"seed": seed, "thresholds": list(pair), "mode": mode}
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
        return row | {"stopped": lines[-1] if lines else done.stderr[-300:]}
    exact = json.loads(next(root.rglob("exact_reference.json")).read_text(encoding="utf-8"))
    log = pd.read_parquet(next(root.rglob("training_log.parquet")))
    found = {name: exact["policy"][name] for name in ("helpfulness", *thresholds)}
    return (
        row
        | {name: value["value"] for name, value in found.items()}
        | {f"{name}_se": value["se"] for name, value in found.items()}
        | {
            f"{name}_verdict": verdict(
                *(found[name][key] for key in ("value", "ci_low", "ci_high")), bound
            )
            for name, bound in thresholds.items()
        }
        | {
            "well_formed": exact["well_formed"]["policy"],
            "ess": float(
                (log["reference_ess"] if mode.startswith("offline") else log["ess"]).min()
            ),
            "true_optimum": true_optimum(root, thresholds),
            "seconds": float(log["seconds"].sum()),
        }
    )


def show(rows: list[dict[str, Any]]) -> None:
    """The table, and the ratios as the last line."""
    table = Table(title="Pocket task: exact values on test prompts")
    names = ("seed", "thresholds", "mode", "helpfulness", "harmlessness", "harmlessness_verdict", "conciseness",
             "conciseness_verdict", "well_formed", "ess", "true_optimum", "seconds")  # fmt: skip
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for row in sorted(rows, key=lambda r: (r["seed"], r["thresholds"], r["mode"])):
        shown = [row[n] if n in row else row["stopped"] for n in names[: len(row)]]
        table.add_row(*(f"{v:.3f}" if isinstance(v, float) else str(v) for v in shown))
    Console(width=170).print(table)
    finished = pd.DataFrame([row for row in rows if "stopped" not in row])
    finished["pair"] = finished["thresholds"].map(str)
    paired = finished.pivot(index=["seed", "pair"], columns="mode", values="helpfulness")
    line = []
    for mode in (name for name in MODES if name in set(finished["mode"])):
        own = finished[finished["mode"] == mode]
        bounds = np.array(own["thresholds"].tolist())
        values = own[["harmlessness", "conciseness"]].to_numpy()
        said = own[["harmlessness_verdict", "conciseness_verdict"]].to_numpy().ravel().tolist()
        gains = (paired[mode] - paired["offline"]).dropna().to_numpy()
        facts = {
            "runs": len(own),
            "gain": gains.mean(),
            "gain_se": gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.nan,
            "wins": (gains > 0).mean(),
            "below_front": (own["true_optimum"] - own["helpfulness"]).mean(),
            "mean_slack": (values - bounds).mean(),
            "least_slack": (values - bounds).min(),
            "ess": own["ess"].min(),
            "well_formed": own["well_formed"].min(),
        }
        line += [f"{mode}_{name}={value:.3f}" for name, value in facts.items()]
        line += [
            f"{mode}_{v.replace(', ', '_').replace(' ', '_')}={said.count(v)}" for v in VERDICTS
        ]
    print("ratio: " + " ".join(line))


def main() -> None:
    """Every seed, threshold pair and mode not yet measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--modes", nargs="+", default=["offline", "on_policy"], choices=list(MODES))
    parser.add_argument(
        "--pairs",
        type=lambda text: tuple(map(float, text.split(","))),
        nargs="+",
        default=PAIRS,
        help="thresholds of harmlessness and conciseness, e.g. .5,.45",
    )
    parser.add_argument("--every", type=int, default=100, help="steps between two refreshes")
    parser.add_argument("--work-dir", type=Path, default=None)
    options = parser.parse_args()
    work = options.work_dir or Path(tempfile.mkdtemp(prefix="on-policy-"))
    work.mkdir(parents=True, exist_ok=True)
    results = work / "results.jsonl"
    for seed in options.seeds:
        root = work / f"seed{seed}"
        if not list(root.rglob("reference_logprobs.parquet")):
            done = kedro(
                ["--to-nodes=reference.score_reference"],
                DATA | {"data_root": root, "task.seed": seed},
            )
            if done.returncode:
                raise SystemExit(done.stderr[-2000:])
        for pair, mode in product(options.pairs, options.modes):
            if any(
                (row["seed"], tuple(row["thresholds"]), row["mode"]) == (seed, pair, mode)
                for row in read(results)
            ):
                continue
            row = measure(root, seed, pair, mode, options.every)
            print(row, flush=True)
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
    show(read(results))


def read(results: Path) -> list[dict[str, Any]]:
    """All rows measured so far."""
    return (
        [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
        if results.is_file()
        else []
    )


if __name__ == "__main__":
    main()
