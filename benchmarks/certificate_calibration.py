"""How often a certificate's bounds miss the truth: simulated test splits, thresholds at the true value.

Every split draws prompts, and several answers to each, whose win rates share what the prompt is; objectives
are drawn jointly, the first against the others. A split misses where any threshold's lower bound lies above the
true value; thresholds lie at the true value, so that a miss is a false "held". Run:
``make bench-certificate-calibration`` (some three minutes of one core); options: ``--splits``, ``--prompts``, ``--confidence``. Columns: thresholds,
joint coverage at the level, the same where answers are taken for prompts (what clustering is for), by the percentile
bootstrap, of all of five looks together where the plan is changed after each, and of the first look alone.
"""

import argparse
from collections.abc import Callable

import numpy as np
from scipy.stats import norm

from mopo_pipeline.mopo.confidence import each_level
from mopo_pipeline.pareto.bounds import alpha_of_look, bounds
from mopo_pipeline.pareto.intervals import jackknife_error, prompt_bootstrap

ANSWERS = 8
LOOKS = 5
CONFLICT = -0.15
"""Correlation of objectives within and between prompts, as conflicting objectives have it."""

Bound = Callable[[np.ndarray, float], np.ndarray]


def split(prompts: int, thresholds: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Win rates (P, answers, thresholds) of one split and their true means."""
    truth = np.linspace(0.45, 0.6, thresholds)
    joint = np.full((thresholds, thresholds), CONFLICT) + (1 - CONFLICT) * np.eye(thresholds)
    root = np.linalg.cholesky(joint)
    shared = rng.normal(size=(prompts, 1, thresholds)) @ root.T
    own = rng.normal(size=(prompts, ANSWERS, thresholds)) @ root.T
    rates = norm.cdf(0.4 * shared + 0.6 * own + norm.ppf(truth) * np.sqrt(1 + 0.4**2 + 0.6**2))
    return rates, truth


def by_prompts(rates: np.ndarray, level: float) -> np.ndarray:
    """Student's t over prompts, from the standard errors every estimate has."""
    return _t(rates.mean(axis=1), level)


def by_answers(rates: np.ndarray, level: float) -> np.ndarray:
    """The same with answers taken for prompts."""
    return _t(rates.reshape(-1, rates.shape[2]), level)


def by_bootstrap(rates: np.ndarray, level: float) -> np.ndarray:
    """The lower end of the expanded-percentile bootstrap whose two-sided level leaves the same tail."""
    sums, mass = rates.sum(axis=1), np.full((len(rates), 1), float(rates.shape[1]))
    found = prompt_bootstrap(
        sums, mass, confidence=2 * level - 1, draws=2000, rng=np.random.default_rng(0)
    )
    return np.asarray(found.low)


def _t(values: np.ndarray, level: float) -> np.ndarray:
    once = np.ones(len(values))
    return np.array(
        [bounds(v.mean(), jackknife_error(v, once), len(v), level)[0] for v in values.T]
    )


def coverage(
    bound: Bound, *, prompts: int, thresholds: int, alphas: list[float], splits: int, seed: int = 0
) -> float:
    """Share of splits on which no threshold is falsely held at any look.

    Args:
        bound: lower bounds of a split's win rates at a one-sided level.
        prompts: of a split.
        thresholds: held jointly.
        alphas: what each look may spend; every look has another policy with fresh answers to the same prompts.
        splits: simulated.
        seed: of the splits.
    """
    missed = 0
    for number in range(splits):
        rng = np.random.default_rng([seed, number])
        rates, truth = split(prompts, thresholds, rng)
        false = False
        for look, alpha in enumerate(alphas):
            if look:
                rates, truth = split(prompts, thresholds, rng)
            false |= bool((bound(rates, each_level(1.0 - alpha, thresholds)) > truth).any())
        missed += false
    return 1.0 - missed / splits


def main() -> None:
    """One line per number of thresholds and of prompts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=2000)
    parser.add_argument("--prompts", type=int, nargs="+", default=[20, 43, 200])
    parser.add_argument("--confidence", type=float, default=0.95)
    given = parser.parse_args()
    alpha = 1.0 - given.confidence
    looks = [alpha_of_look(alpha, number) for number in range(1, LOOKS + 1)]
    print("prompts thresholds  joint  answers  bootstrap  5 looks  first look")
    for prompts in given.prompts:
        for thresholds in range(1, 6):
            size = {"prompts": prompts, "thresholds": thresholds}
            shares = (
                coverage(by_prompts, alphas=[alpha], splits=given.splits, **size),
                coverage(by_answers, alphas=[alpha], splits=given.splits, **size),
                coverage(by_bootstrap, alphas=[alpha], splits=given.splits // 4, **size),
                coverage(by_prompts, alphas=looks, splits=given.splits // 2, **size),
                coverage(by_prompts, alphas=looks[:1], splits=given.splits, **size),
            )
            print(
                f"{prompts:7d} {thresholds:10d}  " + "  ".join(f"{s:.4f}" for s in shares),
                flush=True,
            )


if __name__ == "__main__":
    main()
