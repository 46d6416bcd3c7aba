"""How often a certificate is given, and how often it is wrong: the pocket task, whose every value is known.

Every run goes through the real stages, from data to certificate, and is then valued exactly over *all* prompts of the
task. Two certificates are looked at: the one the run gives, which knows the task's answers, and the one a task without
known answers would get (``blind``: people's labels or the fitted judge alone). Modes: ``default``; ``offline``, the
closed loop on validation labels alone; ``naive``, raw labels as win rates, no confidence, no loop. As many objectives
as there are thresholds and a primary: ``--thresholds 0.5`` has two, ``0.5,0.45`` three, ``0.5,0.45,0.45`` four. Run:
``make bench-certificate``; two to three minutes a run on two idle cores. Options: ``--seeds``, ``--thresholds``, ``--modes``,
``--params`` (parameters in place of the mode's), ``--work-dir`` (kept: what is measured there isn't measured again, one line
a run; one folder for one set of parameters). The last line holds the ratios.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from rich.console import Console
from rich.table import Table

PROJECT = Path(__file__).parents[1]
NAMES = ("helpfulness", "harmlessness", "conciseness", "politeness")
MODES: dict[str, dict[str, Any]] = {
    "default": {},
    "offline": {"train": {"lag": {"mode": "none"}}},
    "naive": {
        "train": {"lag": {"mode": "none"}, "loop": {"rounds": 0}},
        "preferences": {"win_rates": {"method": "label"}},
        "plan": {"confidence": 0.5},
    },
}
BLINDED = ("exact", "rules", "pocket")
"""Estimators that know the task's answers."""


def run_stages(root: Path, parameters: dict[str, Any]) -> str:
    """From data to certificate; empty, or why it stopped."""
    root.mkdir(parents=True, exist_ok=True)
    config = root / "run.yml"
    asked = {
        "to_nodes": "evaluate.certify,evaluate.summarise_evaluation",
        "params": parameters | {"data_root": str(root.resolve())},
    }
    config.write_text(yaml.safe_dump({"run": asked}), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "kedro", "run", f"--config={config}"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "200"},
    )
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    return lines[-1] if lines else done.stderr[-300:]


def true_values(root: Path, names: tuple[str, ...]) -> list[float]:
    """Win rates (K,) of the policy over all prompts of the task, by enumeration."""
    from mopo_pipeline.evaluation.exact import answer_mass
    from mopo_pipeline.parameters.evaluate import EvaluateParams
    from mopo_pipeline.pocket.task import exact_problem, prompts

    problem = exact_problem(prompts(), names)
    rows = [prompts()[g] for g in problem.groups]
    mass = answer_mass(root / "06_models/policy", rows, problem.texts, EvaluateParams(), "truth")
    return list(map(float, mass @ problem.win_rates / len(prompts())))


def blind_verdict(root: Path) -> tuple[str, str | None]:
    """The certificate without the estimators that know the task, and what it rests on."""
    from mopo_pipeline.evaluation.certify import certify
    from mopo_pipeline.evaluation.evidence import gather
    from mopo_pipeline.evaluation.looks import Look
    from mopo_pipeline.plan.training_plan import TrainingPlan

    def table(name: str) -> pd.DataFrame:
        return pd.read_parquet(next(root.rglob(f"{name}.parquet")))

    def record(name: str) -> Any:
        return json.loads(next(root.rglob(f"{name}.json")).read_text(encoding="utf-8"))

    checks = table("threshold_checks")
    known = [column for column in checks if column.split("_")[0] in BLINDED]
    plan = TrainingPlan.from_json(record("training_plan"))
    evidence = gather(
        root / "06_models/policy",
        table("responses"),
        table("comparisons"),
        table("completions"),
        record("doubly_robust_facts"),
        plan.objectives,
    )
    found = certify(checks.drop(columns=known), plan, evidence, Look(1, 1), confidence=0.95)
    return found.verdict, found.estimator


def measure(
    root: Path, seed: int, asked: tuple[float, ...], mode: str, given: dict[str, Any]
) -> dict[str, Any]:
    """One run: its certificates and its true values."""
    names = NAMES[: 1 + len(asked)]
    held = [{"name": n, "threshold": t} for n, t in zip(names[1:], asked, strict=True)]
    parameters = (
        MODES[mode]
        | given
        | {
            "task": {"seed": seed, "objectives": [{"name": names[0]}, *held]},
            "evaluate": {"front_points": 0},
        }
    )
    row: dict[str, Any] = {"seed": seed, "thresholds": list(asked), "mode": mode, "params": given}
    start = time.perf_counter()
    stopped = run_stages(root, parameters)
    row["seconds"] = time.perf_counter() - start
    if stopped:
        return row | {"stopped": stopped}
    given, exact = (
        json.loads(next(root.rglob(f"{name}.json")).read_text(encoding="utf-8"))
        for name in ("certificate", "exact_reference")
    )
    said, estimator = blind_verdict(root)
    return row | {
        "certified": given["verdict"],
        "rests_on": given["estimator"],
        "blind": said,
        "blind_rests_on": estimator,
        "true": true_values(root, names),
        "test": [exact["policy"][name]["value"] for name in names],
        "optimum": None if exact["optimum"] is None else exact["optimum"]["values"][names[0]],
        "well_formed": exact["well_formed"]["policy"],
    }


def show(rows: list[dict[str, Any]]) -> None:
    """One line a run, and the ratios as the last line."""
    table = Table(title="Pocket task: true win rates over all prompts")
    names = ("seed", "thresholds", "mode", "certified", "blind", "blind_rests_on", "true", "optimum", "well_formed", "seconds")  # fmt: skip
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for row in sorted(rows, key=lambda r: (r["mode"], r["thresholds"], r["seed"])):
        cells = [row.get(name, row.get("stopped", "")) for name in names]
        table.add_row(*(_shown(cell) for cell in cells))
    Console(width=180).print(table)
    line = []
    groups = sorted({(row["mode"], tuple(row["thresholds"])) for row in rows})
    for mode, asked in groups:
        own = [r for r in rows if r["mode"] == mode and tuple(r["thresholds"]) == asked]
        line.append("_".join([mode, *map(str, asked)]) + ": " + _ratios(own, asked))
    print("ratio: " + " | ".join(line))


def _ratios(rows: list[dict[str, Any]], asked: tuple[float, ...]) -> str:
    finished = [row for row in rows if "stopped" not in row]
    violated = [min(t - b for t, b in zip(r["true"][1:], asked, strict=True)) < 0 for r in finished]
    facts: dict[str, float] = {"runs": len(rows), "stopped": len(rows) - len(finished)}
    for name in ("certified", "blind"):
        said = [row[name] == "certified" for row in finished]
        facts[name] = sum(said)
        facts[f"{name}_but_violated"] = sum(s and v for s, v in zip(said, violated, strict=True))
    facts["violated"] = sum(violated)
    naive = [min(t - b for t, b in zip(r["test"][1:], asked, strict=True)) >= 0 for r in finished]
    facts["value_above_but_violated"] = sum(s and v for s, v in zip(naive, violated, strict=True))
    if finished:
        gaps = [row["true"][0] - row["optimum"] for row in finished if row["optimum"] is not None]
        facts["median_primary_to_optimum"] = float(np.median(gaps)) if gaps else float("nan")
        facts["least_well_formed"] = min(row["well_formed"] for row in finished)
        facts["median_seconds"] = float(np.median([row["seconds"] for row in finished]))
    return " ".join(f"{name}={value:.3g}" for name, value in facts.items())


def _shown(cell: Any) -> str:
    if isinstance(cell, list):
        return " ".join(f"{value:.3f}" for value in cell)
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)


def main() -> None:
    """Every seed, thresholds and mode not yet measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(200, 220)))
    parser.add_argument("--thresholds", nargs="+", default=["0.5,0.45"])
    parser.add_argument("--modes", nargs="+", default=["default"], choices=list(MODES))
    parser.add_argument(
        "--params",
        type=json.loads,
        default={},
        help='e.g. {"train": {"loop": {"confidence": 0.9}}}',
    )
    parser.add_argument("--work-dir", type=Path, default=None)
    options = parser.parse_args()
    work = options.work_dir or Path(tempfile.mkdtemp(prefix="certificate-"))
    work.mkdir(parents=True, exist_ok=True)
    results = work / "results.jsonl"
    rows = (
        [json.loads(line) for line in results.read_text().splitlines()] if results.is_file() else []
    )
    done = {(row["seed"], tuple(row["thresholds"]), row["mode"]) for row in rows}
    asked = [tuple(map(float, given.split(","))) for given in options.thresholds]
    for seed, thresholds, mode in product(options.seeds, asked, options.modes):
        if (seed, thresholds, mode) in done:
            continue
        root = work / "-".join(map(str, (mode, seed, *thresholds)))
        row = measure(root, seed, thresholds, mode, options.params)
        shutil.rmtree(root, ignore_errors=True)
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        rows.append(row)
        print(row, flush=True)
    show(rows)


if __name__ == "__main__":
    main()
