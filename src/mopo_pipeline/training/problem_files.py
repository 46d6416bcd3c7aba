"""The dual problem as files, for training processes."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from mopo_pipeline.mopo import Comparisons
from mopo_pipeline.mopo.problem import DualProblem

_ARRAYS, _FACTS = "problem.safetensors", "problem.json"

_FIELDS = ("win_rates", "groups", "thresholds", "multipliers", "bounds", "values")

_PAIRS = (
    "first",
    "second",
    "labels",
    "predicted",
    "weights",
    "folds",
    "fold_win_rates",
    "clusters",
)


def problem_digest(problem: DualProblem) -> str:
    """Content hash of everything a refresh would solve."""
    digest = hashlib.sha256(json.dumps(_facts(problem)).encode())
    for name, array in sorted(_arrays(problem).items()):
        digest.update(name.encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def write_problem(problem: DualProblem, directory: Path) -> None:
    """Arrays as safetensors, the rest as JSON."""
    save_file(_arrays(problem), str(directory / _ARRAYS))
    (directory / _FACTS).write_text(json.dumps(_facts(problem)), encoding="utf-8")


def read_problem(directory: Path) -> DualProblem | None:
    """What ``write_problem`` wrote; None where a run has no thresholds to hold."""
    if not (directory / _FACTS).is_file():
        return None
    facts = json.loads((directory / _FACTS).read_text(encoding="utf-8"))
    arrays: dict[str, Any] = load_file(str(directory / _ARRAYS))
    pairs = {n: arrays.pop(f"comparisons.{n}", None) for n in _PAIRS}
    comparisons = None if pairs["first"] is None else Comparisons(**pairs)
    return DualProblem(
        **{**facts, "objectives": tuple(facts["objectives"])}, **arrays, comparisons=comparisons
    )


def _facts(problem: DualProblem) -> dict[str, Any]:
    return {
        name: getattr(problem, name)
        for name in (
            "objectives",
            "tau",
            "epsilon",
            "pooling",
            "variant",
            "confidence",
            "test_prompts",
            "level",
            "certificate_level",
        )
    }


def _arrays(problem: DualProblem) -> dict[str, np.ndarray]:
    """Arrays of a problem by name: win rates (N, K), thresholds (K-1,), comparisons (M,) and the rest."""
    arrays = {name: np.ascontiguousarray(getattr(problem, name)) for name in _FIELDS}
    if problem.judged is not None:
        arrays["judged"] = np.ascontiguousarray(problem.judged)
    if problem.comparisons is not None:
        pairs = {f"comparisons.{n}": getattr(problem.comparisons, n) for n in _PAIRS}
        arrays |= {n: np.ascontiguousarray(a) for n, a in pairs.items() if a is not None}
    return arrays
