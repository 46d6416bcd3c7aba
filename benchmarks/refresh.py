"""What a refresh of the lagged reference costs with LoRA, and what training on fewer rows at a time does.

The pocket task offline, adapters, a refresh every 100 of 700 steps of 64 rows; ``train.lag.rows`` from all rows
down to 6 % of the rows drawn between two refreshes. Six to eight minutes on two cores. Run: ``make bench-refresh``. The last
line is ``ratio: refresh_<rows>=<share of the training time>``.
"""

import argparse
import json
import tempfile
from pathlib import Path

import pandas as pd

from on_policy import PAIRS, kedro

ROWS = {"all": 100_000, "drawn": "null", "quarter": 1600, "sixteenth": 384}
SETTINGS = {
    "train.lora.r": 16, "train.lora.alpha": 32, "train.lag.mode": "offline", "train.lag.every": 100, "train.lag.min_ess": 0,
    "train.fit.learning_rate": 0.01, "evaluate.front_points": 0,
    "plan.thresholds.harmlessness": PAIRS[0][0], "plan.thresholds.conciseness": PAIRS[0][1],
}  # fmt: skip


def main() -> None:
    """One policy per number of rows; prints values, refresh seconds and their share."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    line = []
    with tempfile.TemporaryDirectory(prefix="bench-refresh-") as directory:
        root = Path(directory)
        start = "--to-nodes=evaluate.enumerate_answers"
        for name, rows in ROWS.items():
            done = kedro([*start.split()], SETTINGS | {"data_root": root, "train.lag.rows": rows})
            start = "--from-nodes=train.train_policy --to-nodes=evaluate.enumerate_answers"
            if done.returncode:
                print(f"{name}: {done.stderr[-300:]}")
                continue
            log = pd.read_parquet(next(root.rglob("training_log.parquet")))
            exact = json.loads(
                next(root.rglob("exact_reference.json")).read_text(encoding="utf-8")
            )["policy"]
            refresh, whole = log["refresh_seconds"].sum(), log["seconds"].sum()
            values = ", ".join(f"{k} {v['value']:.3f}" for k, v in exact.items())
            print(
                f"{name}: {refresh:.2f} of {whole:.1f} s; {values}; least effective share of the lagged mass "
                f"{log['reference_ess'].min():.3f}",
                flush=True,
            )
            line.append(f"refresh_{name}={refresh / whole:.4f}")
    print("ratio: " + " ".join(line))


if __name__ == "__main__":
    main()
