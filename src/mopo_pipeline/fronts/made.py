"""What a run of a sweep left beside its policy: its plan, the parameters it was made with, how long it trained, what that cost.

A variant's own, not those of the run that sweeps.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mopo_pipeline.fronts.jobs import SIDECAR
from mopo_pipeline.policies.valued import Budget

PLAN = Path("05_model_input") / "training_plan.json"
LOG = Path("06_models") / "training_log.parquet"
MADE = Path("06_models") / f".policy{SIDECAR}"


def planned_columns(point: Mapping[str, Any]) -> dict[str, float | None]:
    """What a plan says of a point, by column; a price is what the primary gains per unit of threshold."""
    columns: dict[str, float | None] = {}
    for prefix, numbers in (
        ("threshold", point["thresholds"]),
        ("planned", point["values"]),
        ("multiplier", point["multipliers"]),
    ):
        columns |= {f"{prefix}_{name}": value for name, value in numbers.items()}
    prices = {f"price_{name}": -value for name, value in point["multipliers"].items()}
    return columns | prices | {"kl_planned": point["kl"]}


def own_plan(folder: Path) -> dict[str, float | None]:
    """What a run's own plan says, by column; nothing where it failed before."""
    place = folder / PLAN
    return planned_columns(read_json(place)) if place.is_file() else {}


def hyperparameters(folder: Path) -> dict[str, Any]:
    """What a run's policy was trained with, JSON-ready; its steps are those it did."""
    made = _made_with(folder)
    return {
        "steps": steps_done(folder),
        "learning_rate": made["train.fit.learning_rate"],
        "batch_size": _batch(made),
        "lag": made["train.lag.mode"],
    }


def spent(folder: Path, seconds: float | None) -> Budget:
    """What a run cost; answers drawn at refreshes are counted at the data's mean length."""
    made = _made_with(folder)
    sequences = steps_done(folder) * _batch(made)
    if made["train.lag.mode"] != "fresh":
        return Budget(sequences, seconds=seconds or 0.0)
    responses = pd.read_parquet(folder / "03_primary" / "responses.parquet")
    scored = pd.read_parquet(folder / "05_model_input" / "reference_logprobs.parquet")
    log = pd.read_parquet(folder / LOG)
    prompts = responses.groupby("split")["prompt_id"].nunique()
    asked = min(made["train.lag.fresh_prompts"], int(prompts.get("train", 0)))
    seen = min(made["train.lag.validation_prompts"], int(prompts.get("validation", 0)))
    refreshes = int(log["refreshes"].max()) if "refreshes" in log else 0
    answers = (refreshes * asked + (refreshes + 1) * seen) * made["train.lag.fresh_responses"]
    tokens = float(scored["n_tokens"].mean()) if "n_tokens" in scored else 0.0
    return Budget(sequences, round(answers * tokens), answers, seconds or 0.0)


def steps_done(folder: Path) -> int:
    """Steps of a run's training, whose last one is logged."""
    return int(pd.read_parquet(folder / LOG, columns=["step"])["step"].max())


def logged_seconds(folder: Path) -> float | None:
    """Seconds between the logged steps of a run's training; None where it left no log that says."""
    place = folder / LOG
    log = pd.read_parquet(place) if place.is_file() else pd.DataFrame()
    return float(log["seconds"].sum()) if "seconds" in log else None


def read_json(path: Path) -> dict[str, Any]:
    """A table."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _made_with(folder: Path) -> dict[str, Any]:
    """Parameters of a run's policy by full name."""
    found: dict[str, Any] = read_json(folder / MADE)["parameters"]
    return found


def _batch(made: Mapping[str, Any]) -> int:
    """Sequences of a step."""
    return int(made["train.fit.batch_size"] * made["train.fit.accumulation"])
