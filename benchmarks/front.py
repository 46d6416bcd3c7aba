"""A front beside its rivals on a task: the table of docs/results.md.

``make bench-front ARGS="--environment base --seeds 1 2 --methods reference primary_only scalarised_dpo rewarded_soups"``
runs ``kedro run --pipelines=front`` (what lies in ``--work-dir`` is not made again) and prints a line per method: how
ours stands against it, hypervolume with its interval, the share of the exact front where that is known, thresholds
missed, what it cost. The last line holds the ratios: hypervolume over the exact front's, training time of all our points
over that of one from the reference, and over that of the best rival that trains (others use another's policies).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

PROJECT = Path(__file__).parents[1]
OURS = "mopo"


def run_front(root: Path, environment: str, front: dict[str, Any], given: dict[str, Any]) -> None:
    """The whole front under ``root``; stops this program where it fails."""
    params = given | {"data_root": str(root.resolve()), "front": front}
    root.mkdir(parents=True, exist_ok=True)
    config = root / "bench.yml"
    settings = {"env": environment, "pipelines": "front", "params": params}
    config.write_text(yaml.safe_dump({"run": settings}), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "kedro", "run", f"--config={config}", "--only-missing-outputs"],
        cwd=PROJECT,
        check=False,
        env=os.environ | {"COLUMNS": "160"},
    )
    if done.returncode:
        sys.exit(done.returncode)


def number(value: float | None, places: int = 3) -> str:
    """A number, or a dash where it is unknown."""
    return "–" if value is None else f"{value:.{places}f}"


def table(report: dict[str, Any], task: str) -> str:
    """A line per method in Markdown, best first."""
    head = ("task", "method", "kind", "points", "failed", "hypervolume", "interval", "of the exact front",
            "at the same KL", "missed", "certified", "P(ours above)", "ours", "sequences", "seconds")  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    matched = report["matched_kl"].get("hypervolumes", {})
    ranked = sorted(report["methods"].items(), key=lambda item: -item[1]["hypervolume"])
    for name, m in ranked:
        beats = report["dominance"].get(OURS, {}).get(name)
        missed, certified = m["violation_rate"], m["certified_share"]
        cells = (
            task,
            name,
            m["kind"],
            m["points"],
            m["failed"],
            number(m["hypervolume"]),
            f"{number(m['hypervolume_low'])} to {number(m['hypervolume_high'])}",
            number(m["share_of_exact"]),
            number(matched.get(name, {}).get("hypervolume")),
            "" if missed is None else f"{missed:.0%}",
            "" if certified is None else f"{certified:.0%}",
            "" if beats is None else f"{beats:.2f}",
            report["standing"].get(name, ""),
            f"{m['spent']['sequences']:,.0f}",
            f"{m['spent']['seconds']:.0f}",
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    for name, left in report.get("without_points", {}).items():
        lines.append(f"| {name} | | 0 | {left['failed']}" + " |" * (len(cells) - 3))
    return "\n".join(lines)


def ratios(report: dict[str, Any], points: pd.DataFrame) -> str:
    """The last line."""
    ours = points.loc[(points["method"] == OURS) & (points["status"] == "done")]
    starts = ours["hyperparameters"].map(lambda text: json.loads(text)["start"])
    alone = ours.loc[starts.isna(), "seconds"].sum()
    said = {"front_of_exact": report["methods"].get(OURS, {}).get("share_of_exact")}
    if alone > 0:
        said["front_cost"] = ours["seconds"].sum() / alone
    rivals = {
        n: m
        for n, m in report["methods"].items()
        if n in report["standing"] and m["spent"]["sequences"] > 0
    }
    if rivals:
        best = max(rivals, key=lambda n: rivals[n]["hypervolume"])
        said["front_over_best_rival_seconds"] = (
            ours["seconds"].sum() / rivals[best]["spent"]["seconds"]
        )
    return "ratio: " + " ".join(f"{n}={v:.3f}" for n, v in said.items() if v is not None)


def main() -> None:
    """Run, then print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--environment", default="base")
    parser.add_argument("--points", type=int, default=9)
    parser.add_argument("--seeds", type=int, nargs="*", default=[], help="beside the task's own")
    parser.add_argument("--workers", type=int, help="points trained at once")
    parser.add_argument("--methods", nargs="*", default=["reference", "primary_only"])
    parser.add_argument(
        "--params",
        type=json.loads,
        default={},
        help='e.g. {"train": {"fit": {"steps": 200}}, "front": {"rivals": {"modpo": {"divisions": 2}}}}',
    )
    parser.add_argument("--work-dir", type=Path)
    asked = parser.parse_args()
    root = asked.work_dir or Path(tempfile.mkdtemp(prefix="front-"))
    front = asked.params.get("front", {}) | {
        "points": asked.points,
        "seeds": asked.seeds,
        "methods": asked.methods,
        "workers": asked.workers,
    }
    run_front(root, asked.environment, front, asked.params)
    report = json.loads((root / "08_reporting" / "front_report.json").read_text(encoding="utf-8"))
    points = pd.read_parquet(root / "07_model_output" / "front_points.parquet")
    print(table(report, asked.environment))
    print(ratios(report, points))


if __name__ == "__main__":
    main()
