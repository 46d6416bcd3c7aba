"""How often an accepted plan misses a threshold it promised, on designs as clustered as real data.

Every data set is drawn anew: prompts, responses, compared pairs and their labels, with exact win
rates and predictions, three objectives and thresholds part of the way from the data to what is
attainable. The plan's multipliers are then valued on a large population of prompts with all their
answers. A miss is a threshold of an accepted plan that its policy does not hold; the level is joint.
Run: ``make bench-coverage``; options ``--sets``, ``--confidence``, ``--designs``, ``--processes``.
The last line holds the share of missed plans per design.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mopo_pipeline.mopo import (
    Comparisons,
    InfeasibleThresholdsError,
    NotConvergedError,
    solve_dual,
)

TAU, OBJECTIVES, ANSWERS = 0.12, 3, 48
THRESHOLDS = (0.50, 0.48)
POPULATION = 4000
DRIFT = 0.35
"""Standard deviation over prompts of how far their labels stray from the shared win rates."""


@dataclass(frozen=True)
class Design:
    """Prompts, responses per prompt and compared pairs per prompt; None compares all pairs."""

    prompts: int
    responses: int
    pairs: int | None


DESIGNS = {
    "2000x4x1": Design(2000, 4, 1),
    "187x64x72": Design(187, 64, 72),
    "40x64x500": Design(40, 64, 500),
    "36x6xall": Design(36, 6, None),
    "187x8xall": Design(187, 8, None),
    "100x16xall": Design(100, 16, None),
}


def utilities(prompts: int, rng: np.random.Generator) -> np.ndarray:
    """Utilities (P, A, K) of every answer; prompts differ in spread and in how much objectives conflict."""
    scale = np.exp(0.5 * rng.normal(size=prompts) - 0.125)
    conflict = np.clip(-0.5 + 0.2 * rng.normal(size=prompts), -0.95, 0.95)[:, None]
    noise = rng.normal(size=(prompts, ANSWERS, OBJECTIVES))
    other = (
        conflict[..., None] * noise[..., :1] + np.sqrt(1 - conflict**2)[..., None] * noise[..., 1:]
    )
    return scale[:, None, None] * np.concatenate([noise[..., :1], other], axis=-1) * 1.5


def win_rates(utility: np.ndarray) -> np.ndarray:
    """Exact win rates (P, A, K) against answers drawn uniformly."""
    return np.stack([(1 / (1 + np.exp(u[:, None] - u[None, :]))).mean(axis=0) for u in utility])


def replicate(task: tuple[str, float, int]) -> tuple[bool, np.ndarray]:
    """Whether the plan was accepted, and the true values (K,) of its policy."""
    name, confidence, seed = task
    design = DESIGNS[name]
    rng = np.random.default_rng([seed, sorted(DESIGNS).index(name)])
    utility = utilities(design.prompts, rng)
    exact = win_rates(utility)
    drawn = rng.integers(0, ANSWERS, size=(design.prompts, design.responses))
    prompt = np.repeat(np.arange(design.prompts), design.responses)
    every = np.array(list(combinations(range(design.responses), 2)))
    pairs = []
    for x in range(design.prompts):
        if design.pairs is None:
            chosen = every
        else:
            chosen = np.sort(
                [rng.choice(design.responses, 2, replace=False) for _ in range(design.pairs)],
                axis=1,
            )
        pairs.append(chosen + x * design.responses)
    first, second = np.concatenate(pairs).T
    value = utility[prompt, drawn.ravel()]
    probability = 1 / (1 + np.exp(value[second] - value[first]))
    labels = (rng.random(probability.shape) < probability).astype(float)
    try:
        found = solve_dual(
            exact[prompt, drawn.ravel()], THRESHOLDS, tau=TAU, groups=prompt, pooling=None,
            comparisons=Comparisons(first, second, labels, predicted=probability),
            confidence=confidence,
        )  # fmt: skip
    except (InfeasibleThresholdsError, NotConvergedError):
        return False, np.full(OBJECTIVES, np.nan)
    return True, population_value(found.multipliers)


def population_value(multipliers: np.ndarray) -> np.ndarray:
    """True values (K,) of the policy of these multipliers over a population of prompts."""
    exact = _population()
    exponent = exact @ np.append(1.0, multipliers) / TAU
    policy = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    policy /= policy.sum(axis=1, keepdims=True)
    return (policy[..., None] * exact).sum(axis=1).mean(axis=0)


_kept: list[np.ndarray] = []


def _population() -> np.ndarray:
    if not _kept:
        _kept.append(win_rates(utilities(POPULATION, np.random.default_rng(99))))
    return _kept[0]


def main() -> None:
    """Print one row per design and, last, the share of plans that missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--designs", nargs="+", default=list(DESIGNS), choices=list(DESIGNS))
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    print("design | refused | missed, each | missed, any (2 SE above the level) | loss of primary")
    shares = []
    with ProcessPoolExecutor(options.processes) as pool:
        for name in options.designs:
            tasks = [(name, options.confidence, seed) for seed in range(options.sets)]
            found = list(pool.map(replicate, tasks, chunksize=10))
            values = np.array([value for accepted, value in found if accepted])
            missed = values[:, 1:] < np.array(THRESHOLDS)
            level = 1 - options.confidence
            limit = level + 2 * np.sqrt(level * (1 - level) / max(len(values), 1))
            each = ", ".join(f"{share:.3f}" for share in missed.mean(axis=0))
            shares.append(f"{name}={missed.any(axis=1).mean():.3f}")
            print(
                f"{name} | {1 - len(values) / len(found):.3f} | {each} | "
                f"{missed.any(axis=1).mean():.3f} (at most {limit:.3f}) | {values[:, 0].mean():.3f}",
                flush=True,
            )
    print("ratio: " + " ".join(shares))


if __name__ == "__main__":
    main()
