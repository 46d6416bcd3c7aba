"""The front as a page that answers: every policy with what was asked, attained and paid, rivals beside it."""

import json
from shlex import quote
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.errors import InputError
from mopo_pipeline.pareto import non_dominated
from mopo_pipeline.pareto.verdicts import capitalised
from mopo_pipeline.reporting.interactive.page import render_interactive
from mopo_pipeline.reporting.style import OBJECTIVES, POLICY, REFERENCE
from mopo_pipeline.reporting.values import ESTIMATORS
from mopo_pipeline.tables import prompt_text

IDENTITY = ("method", "kind", "point", "seed", "status", "reason")
COSTS = ("sequences", "generated_tokens", "judge_calls", "seconds")
INDICATORS = (
    "hypervolume", "hypervolume_low", "hypervolume_high", "points", "igd_plus", "share_of_exact",
    "violation_rate", "certified_share",
)  # fmt: skip
"""What is told of each method, as far as the front's report knows it."""

PER_OBJECTIVE = ("threshold", "value", "low", "high", "planned", "multiplier", "price")
"""Families of columns, ``<family>_<objective>``; of these a method need not have all."""

RUN = "run.yml"
"""In a policy's folder: the command line and parameters of its run, as ``kedro run --config`` takes them."""

KNOWN = {
    "mopo": ("thresholds (MOPO)", POLICY),
    "mopo_interpolated": ("interpolated neighbours", "#E69F00"),
    "reference": ("reference", REFERENCE),
}
SPELLED = {
    "dpo": "DPO",
    "mod": "MOD",
    "modpo": "MODPO",
    "raco": "RACO",
    "amopo": "AMoPO",
    "grpo": "GRPO",
    "ppo": "PPO",
}
COLOURS = tuple(colour for colour in OBJECTIVES if colour != "#E69F00")
SYMBOLS = (
    "diamond", "square", "triangle-up", "cross", "star", "triangle-down", "hexagon", "pentagon",
    "hourglass", "triangle-left", "bowtie", "triangle-right",
)  # fmt: skip
"""Beside the colour, so that methods stay apart where colours do not."""


def write_front_page(
    front_points: pd.DataFrame, front_samples: pd.DataFrame, front_report: dict[str, Any]
) -> str:
    """The page of a front.

    Args:
        front_points: a row per policy, trained or not; with a column ``folder`` where a policy has a
            run of its own, whose ``run.yml`` it can be exported by.
        front_samples: answers of policies to a few prompts, beside the reference's.
        front_report: the ``objectives``, the ``level`` of the intervals and the ``estimators`` of the values.

    Returns:
        HTML that loads nothing.

    Raises:
        InputError: a column is missing.
    """
    return render_interactive(
        "front_page.html.j2",
        page_data(front_points, front_samples, front_report),
        ("common.js", "pairs.js", "parallel.js", "front_page.js"),
    )


def page_data(
    front_points: pd.DataFrame, front_samples: pd.DataFrame, front_report: dict[str, Any]
) -> dict[str, Any]:
    """What the page's scripts read."""
    names = objective_names(front_report)
    wanted = [*IDENTITY, "kl", "certified", *(f"value_{name}" for name in names)]
    if missing := [column for column in wanted if column not in front_points]:
        raise InputError(f"front_points has no column {missing[0]!r}; it has {list(front_points)}")
    table = front_points.reset_index(drop=True)
    trained = table.loc[table["status"] == "done"]
    kinds = trained.groupby("method")["kind"].agg(lambda kind: sorted(set(kind)))
    if len(mixed := kinds[kinds.map(len) > 1]):
        raise InputError(
            f"front_points: method {mixed.index[0]!r} mixes the kinds {mixed.iloc[0]}; a front holds one: name them apart"
        )
    best = best_of_their_method(table, names)
    samples = _samples(front_samples, names)
    points = [
        _point(row, names) | {"best": bool(good), "samples": samples.get(_key(row), [])}
        for row, good in zip(table.to_dict(orient="records"), best, strict=True)
    ]
    done = [point for point in points if point["status"] == "done"]
    return {
        "title": "Front and rivals" if len(set(table["method"])) > 1 else "Front",
        "lead": _lead(table, names, front_report.get("estimators", [])),
        "notes": _notes(points, done, names, front_report),
        "level": front_report.get("level"),
        "objectives": names,
        "methods": _methods(table),
        "compared": _compared(front_report),
        "points": points,
    }


def objective_names(front_report: dict[str, Any]) -> list[str]:
    """Names of the objectives, the primary first, from a list of names or of records with a ``name``."""
    return [
        objective["name"] if isinstance(objective, dict) else str(objective)
        for objective in front_report["objectives"]
    ]


def best_of_their_method(table: pd.DataFrame, names: list[str]) -> np.ndarray[Any, Any]:
    """Whether each row (n,) is dominated by no other policy of its method and seed; False where it has no values."""
    values = table[[f"value_{name}" for name in names]].to_numpy(dtype=np.float64)
    known = np.isfinite(values).all(axis=1) & (table["status"] == "done").to_numpy()
    best = np.zeros(len(table), dtype=bool)
    for _, places in table.loc[known].groupby(["method", "seed"]).indices.items():
        rows = np.flatnonzero(known)[places]
        best[rows] = non_dominated(values[rows], equals=True)
    return best


def export_command(folder: str) -> str:
    """The command that makes a folder for use elsewhere of the policy whose run lies in ``folder``.

    Its ``run.yml`` holds the parameters the policy was made with; without them its artifacts would be called stale.

    >>> export_command("data/front/0.52")
    'kedro run --config=data/front/0.52/run.yml --pipelines=export'
    """
    return f"kedro run --config={quote(f'{folder}/{RUN}')} --pipelines=export"


def _point(row: dict[Any, Any], names: list[str]) -> dict[str, Any]:
    """One policy as plain values."""
    families = {
        family: {name: _number(row.get(f"{family}_{name}")) for name in names}
        for family in PER_OBJECTIVE
    }
    folder = row.get("folder")
    runs = isinstance(folder, str) and folder != "" and row["status"] == "done"
    return families | {
        **{name: str(row[name]) for name in IDENTITY if name != "seed"},
        "seed": int(row["seed"]),
        **{name: _number(row.get(name)) for name in ("kl", "kl_low", "kl_high")},
        "well_formed": _number(row.get("well_formed")),
        "certified": str(row["certified"] or ""),
        "hyperparameters": _hyperparameters(row.get("hyperparameters")),
        "costs": {name: _number(row.get(name)) for name in COSTS},
        "command": export_command(str(folder)) if runs else None,
    }


def _samples(
    samples: pd.DataFrame, names: list[str]
) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    """Answers by method, point and seed."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in samples.to_dict(orient="records"):
        found.setdefault(_key(row), []).append(
            {
                "prompt": _readable(row["prompt"]),
                "response": row["response"],
                "reference": row["reference_response"],
                "scores": {name: _number(row.get(f"score_{name}")) for name in names},
            }
        )
    return found


def _methods(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Methods in a fixed order, each with a colour and a symbol of its own; a point that failed may not know its kind."""
    done = table.loc[table["status"] == "done"]
    found = dict(zip(table["method"], table["kind"], strict=True))
    found |= dict(zip(done["method"], done["kind"], strict=True))
    order = [*(name for name in KNOWN if name in found), *(n for n in found if n not in KNOWN)]
    others = [name for name in order if name not in KNOWN]
    methods = []
    for place, name in enumerate(order):
        title, colour = KNOWN.get(name, (_spelled(name), ""))
        if not colour:
            colour = COLOURS[others.index(name) % len(COLOURS)]
        symbol = "circle" if name == "reference" else SYMBOLS[place % len(SYMBOLS)]
        methods.append(
            {
                "name": name,
                "title": title,
                "kind": found[name].replace("_", " "),
                "colour": colour,
                "symbol": symbol,
            }
        )
    return methods


def _compared(front_report: dict[str, Any]) -> list[dict[str, Any]]:
    """Methods by hypervolume, greatest first, each with the probability that ours is above it."""
    told = front_report.get("methods") or {}
    ours = (front_report.get("dominance") or {}).get("mopo", {})
    rows = [
        {"name": name, "ours_above": _number(ours.get(name))}
        | {key: _number(found.get(key)) for key in INDICATORS}
        for name, found in told.items()
    ]
    return sorted(rows, key=lambda row: -(row["hypervolume"] or 0.0))


def _spelled(name: str) -> str:
    return " ".join(SPELLED.get(word, word) for word in name.split("_"))


def _lead(table: pd.DataFrame, names: list[str], estimators: list[str]) -> str:
    """How many policies of how many methods, and what is told of them."""
    told = " or ".join(ESTIMATORS[estimator] for estimator in estimators)
    done = int((table["status"] == "done").sum())
    methods, seeds = table["method"].nunique(), table["seed"].nunique()
    return (
        f"{_count(done, 'policy', 'policies')} of {_count(methods, 'method')} over {_count(seeds, 'seed')}. "
        f"{capitalised(names[0])} is maximised{', thresholds hold the others' if len(names) > 1 else ''}; "
        f"values are win rates against the data's own answers{f', by {told}' if told else ''}."
    )


def _notes(
    points: list[dict[str, Any]],
    done: list[dict[str, Any]],
    names: list[str],
    front_report: dict[str, Any],
) -> list[str]:
    """What a reader must know before the charts."""
    notes = []
    if len(names) < 2:
        notes.append("One objective alone has no front: the policies differ on one axis.")
    if not done:
        notes.append("No policy was trained: the table at the end says why.")
    left = len(points) - len(done)
    if left:
        notes.append(
            f"{_count(left, 'point')} {'has' if left == 1 else 'have'} no policy; each is drawn as × where its "
            "thresholds are, and named with the reason at the end."
        )
    for finding in front_report.get("findings") or []:
        if isinstance(finding, dict) and finding.get("severity") != "info":
            notes.append(f"{finding['name']}: {finding.get('remedy', '')}".rstrip(": "))
    return notes


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _key(row: dict[Any, Any]) -> tuple[Any, ...]:
    return row["method"], row["point"], int(row["seed"])


def _hyperparameters(value: Any) -> dict[str, Any]:
    return dict(json.loads(value)) if isinstance(value, str) and value else {}


def _readable(prompt: str) -> str:
    """The last message of stored chat messages; any other text as it is."""
    return prompt_text(prompt) if prompt.startswith("[{") else prompt


def _number(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)
