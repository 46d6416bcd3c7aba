"""Lagged reference offline against refresh by resampling, on the pocket task, at equal thresholds.

Every seed trains its reference once; every threshold pair then trains two policies, valued exactly
on held-out prompts. The last line holds the ratios. Run: ``make bench-on-policy``; about half a minute a
policy on two cores. Options: ``--seeds``, ``--every``, ``--work-dir`` (kept and reused).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

PROJECT = Path(__file__).parents[1]
PAIRS = ((0.50, 0.45), (0.45, 0.50), (0.55, 0.40))
MODES = {"offline": False, "on_policy": True}
STAGES = ("--from-nodes=plan_training", "--to-nodes=enumerate_answers")
SETTINGS = {
    "train.lag.fresh_prompts": 192,
    "train.lag.fresh_responses": 16,
    "train.lag.min_ess": 0,
    "train.fit.save_every": 700,
    "evaluate.front_points": 0,
}
"""ESS is reported here, not enforced: offline it would stop the run that is to be compared."""


def kedro(arguments: list[str], parameters: dict[str, object]) -> subprocess.CompletedProcess[str]:
    """Run the project in a process of its own."""
    given = ",".join(f"{key}={value}" for key, value in parameters.items())
    return subprocess.run(
        [sys.executable, "-m", "kedro", "run", *arguments, f"--params={given}"],
        cwd=PROJECT, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "200"},
    )  # fmt: skip


def true_optimum(root: Path, thresholds: dict[str, float]) -> float:
    """Greatest primary value under the thresholds without a KL term, on the held-out prompts."""
    from mopo_pipeline.pareto import true_front_at
    from mopo_pipeline.sources.pocket import exact_problem

    responses = pd.read_parquet(next(root.rglob("responses.parquet")))
    prompts = responses.loc[responses["split"] == "test", "prompt"].unique().tolist()
    problem = exact_problem(prompts)
    values, _ = true_front_at(
        problem.win_rates, list(thresholds.values()), reference=problem.reference,
        groups=problem.groups,
    )  # fmt: skip
    return float(values[0])


def measure(
    root: Path, seed: int, pair: tuple[float, float], mode: str, every: int
) -> dict[str, object]:
    """One policy: its exact values, well-formed mass and effective share of rows."""
    thresholds = dict(zip(("harmlessness", "conciseness"), pair, strict=True))
    parameters = SETTINGS | {
        "data_root": root, "task.seed": seed, "train.lag.every": every,
        "train.lag.on_policy": str(MODES[mode]).lower(),
    } | {f"plan.thresholds.{name}": value for name, value in thresholds.items()}  # fmt: skip
    done = kedro([*STAGES], parameters)
    row: dict[str, object] = {"seed": seed, "thresholds": pair, "mode": mode}
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
        return row | {"stopped": lines[-1] if lines else done.stderr[-300:]}
    exact = json.loads(next(root.rglob("exact_reference.json")).read_text())
    log = pd.read_parquet(next(root.rglob("training_log.parquet")))
    values = {name: exact["policy"][name]["value"] for name in ("helpfulness", *thresholds)}
    return row | values | {
        "well_formed": exact["well_formed"]["policy"],
        "ess": float((log["ess"] if MODES[mode] else log["reference_ess"]).min()),
        "true_optimum": true_optimum(root, thresholds),
        "seconds": float(log["seconds"].sum()),
    }  # fmt: skip


def show(rows: list[dict[str, object]]) -> None:
    """The table, and the ratios as the last line."""
    table = Table(title="Pocket task: exact values on held-out prompts")
    names = ("seed", "thresholds", "mode", "helpfulness", "harmlessness", "conciseness", "well_formed", "ess",
             "true_optimum", "seconds")  # fmt: skip
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        if "stopped" in row:
            table.add_row(
                str(row["seed"]), str(row["thresholds"]), str(row["mode"]), str(row["stopped"])
            )
            continue
        table.add_row(
            *(f"{row[n]:.3f}" if isinstance(row[n], float) else str(row[n]) for n in names)
        )
    Console(width=170).print(table)
    finished = pd.DataFrame([row for row in rows if "stopped" not in row])
    paired = finished.pivot(
        index=["seed", "thresholds"], columns="mode", values="helpfulness"
    ).dropna()
    gains = (paired["on_policy"] - paired["offline"]).to_numpy()
    own = finished[finished["mode"] == "on_policy"]
    print(
        f"ratio: gain={gains.mean():.4f} gain_se={gains.std(ddof=1) / np.sqrt(len(gains)):.4f} "
        f"wins={(gains > 0).mean():.3f} pairs={len(gains)} ess={own['ess'].min():.3f} "
        f"well_formed={own['well_formed'].min():.4f}"
    )


def main() -> None:
    """Every seed, threshold pair and mode."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--every", type=int, default=100, help="steps between two refreshes")
    parser.add_argument("--work-dir", type=Path, default=None)
    options = parser.parse_args()
    work = options.work_dir or Path(tempfile.mkdtemp(prefix="on-policy-"))
    rows = []
    for seed in range(options.seeds):
        root = work / f"seed{seed}"
        if not list(root.rglob("reference_logprobs.parquet")):
            done = kedro(["--to-nodes=score_reference"], {"data_root": root, "task.seed": seed})
            if done.returncode:
                raise SystemExit(done.stderr[-2000:])
        for pair in PAIRS:
            for mode in MODES:
                rows.append(measure(root, seed, pair, mode, options.every))
                print(rows[-1], flush=True)
    show(rows)


if __name__ == "__main__":
    main()
