"""How much data a plan and a certificate need: tables from the theory, and simulations that hold them against it.

Comparisons: a doubly robust term (method.md, section 4) varies by labels with at most ``(1/ESS - 1) / 8`` where the
model is right (``(ratio_i - ratio_j)² / 4`` times the variance of a label, at most 1/4), so that the bound of a plan
with an effective share ESS lies at most ``z sqrt((1/ESS - 1) / (8 N))`` below its value. Held against it: plans on data
drawn from the pocket task with exact win rates, valued over all its answers.
Prompts: a certificate's bound lies ``t spread / sqrt(P)`` below a mean over P prompts (section 11); nine certificates in
ten need room for the noise of the mean as well. Held against it: simulated test splits.
Run: ``make bench-sizes`` (about a minute of one core); options ``--sets``, ``--splits``, ``--tables`` (the tables alone).
The last line holds the greatest share of plans that missed a threshold, and the least share of certificates.
"""

import argparse
import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from mopo_pipeline.mopo import (
    Comparisons,
    InfeasibleThresholdsError,
    NotConvergedError,
    each_level,
    epsilon_for_confidence,
    solve_dual,
)
from mopo_pipeline.pareto.bounds import alpha_of_look, bounds, half_width, prompts_needed
from mopo_pipeline.pocket import task as pocket

CONFIDENCE, CONSTRAINTS = 0.95, 2
WIDTHS = (0.10, 0.05, 0.03, 0.02, 0.01)
SHARES = (0.8, 0.5, 0.25, 0.1)
SPREADS = (0.05, 0.10, 0.15, 0.20)
POWER = 0.9
TAU, THRESHOLDS = 0.1, (0.50, 0.45)
DESIGNS = ((200, 2, 1), (1000, 2, 1), (200, 8, 8), (50, 8, 28), (200, 8, 28), (150, 64, 72))
"""Prompts, responses per prompt, compared pairs per prompt."""


def label_spread(share: float, brier: float = 0.25) -> float:
    """Greatest standard deviation that labels give a term, by the effective share of rows.

    Args:
        share: of the plan's rows, in (0, 1].
        brier: mean squared error of the model's probabilities; 0.25 knows nothing.

    >>> round(label_spread(0.5), 4)
    0.3536
    """
    return math.sqrt((1.0 / share - 1.0) * brier / 2.0)


def comparisons_needed(width: float, share: float, constraints: int = CONSTRAINTS) -> int:
    """Effective comparisons of each objective whose labels cost at most ``width`` of win rate.

    >>> comparisons_needed(0.03, 0.5)
    534
    """
    level = each_level(CONFIDENCE, constraints)
    one = 2.0 * epsilon_for_confidence(1, level)  # z²: the radius of one comparison is z² / 2
    return math.ceil(one * label_spread(share) ** 2 / width**2)


def certain_prompts(spread: float, room: float, level: float) -> int:
    """Fewest test prompts with which nine of ten splits certify a policy that lies ``room`` above its threshold."""
    prompts = prompts_needed(spread, room, level)
    assert prompts is not None
    low, high = prompts, 64 * prompts
    while high - low > 1:
        middle = (low + high) // 2
        enough = (
            half_width(spread, middle, level) + norm.ppf(POWER) * spread / math.sqrt(middle) <= room
        )
        low, high = (low, middle) if enough else (middle, high)
    return high


def certificate_level(constraints: int = CONSTRAINTS) -> float:
    """Level of each threshold's bound at a first look."""
    return each_level(1.0 - alpha_of_look(1.0 - CONFIDENCE, 1), constraints)


def comparisons_table() -> list[str]:
    """Rows by width, columns by effective share, two thresholds."""
    head = "| labels may cost | " + " | ".join(f"ESS {share:g}" for share in SHARES) + " |"
    rows = [
        f"| {width:.2f} | "
        + " | ".join(f"{comparisons_needed(width, share):,}" for share in SHARES)
        + " |"
        for width in WIDTHS
    ]
    return [head, "|---" * (len(SHARES) + 1) + "|", *rows]


def prompts_table() -> list[str]:
    """Rows by room, columns by spread: prompts for even odds, and for nine in ten."""
    level = certificate_level()
    head = "| room | " + " | ".join(f"spread {spread:.2f}" for spread in SPREADS) + " |"
    rows = []
    for room in WIDTHS:
        cells = [
            f"{max(prompts_needed(spread, room, level) or 0, 20):,} / {max(certain_prompts(spread, room, level), 20):,}"
            for spread in SPREADS
        ]
        rows.append(f"| {room:.2f} | " + " | ".join(cells) + " |")
    return [head, "|---" * (len(SPREADS) + 1) + "|", *rows]


@dataclass(frozen=True)
class World:
    """The pocket task's settings, one phrasing each: (G, A) mass, (G, A, 3) scores and exact win rates."""

    mass: np.ndarray
    scores: np.ndarray
    win_rates: np.ndarray

    @classmethod
    def build(cls) -> "World":
        """Every setting once; prompts are drawn from them."""
        asked = list(
            {
                pocket.scores(p).tobytes() + pocket.behaviour(p).tobytes(): p
                for p in pocket.prompts()
            }.values()
        )
        return cls(
            np.stack([pocket.behaviour(p) for p in asked]),
            np.stack([pocket.scores(p) for p in asked]),
            np.stack([pocket.exact_win_rates(p) for p in asked]),
        )

    def values(self, multipliers: np.ndarray) -> np.ndarray:
        """True win rates (3,) of the policy of these multipliers."""
        exponent = self.win_rates @ np.append(1.0, multipliers) / TAU
        weight = self.mass * np.exp(exponent - exponent.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        return np.einsum("ga,gak->k", weight, self.win_rates) / len(weight)


def plan_on(
    world: World, design: tuple[int, int, int], rng: np.random.Generator
) -> list[float] | None:
    """Width, ESS, effective comparisons and the true room above both thresholds; None where refused."""
    prompts, responses, pairs = design
    setting = rng.integers(len(world.mass), size=prompts)
    answer = np.stack(
        [rng.choice(world.mass.shape[1], responses, p=world.mass[g]) for g in setting]
    )
    rates = world.win_rates[setting[:, None], answer].reshape(-1, 3)
    scores = world.scores[setting[:, None], answer].reshape(-1, 3)
    every = np.array(np.triu_indices(responses, 1)).T
    chosen = [
        every if pairs >= len(every) else every[rng.choice(len(every), pairs, replace=False)]
        for _ in range(prompts)
    ]
    first, second = np.concatenate([pair + x * responses for x, pair in enumerate(chosen)]).T
    chance = expit(scores[first] - scores[second])
    labels = (rng.random(chance.shape) < chance).astype(float)
    try:
        solved = solve_dual(
            rates,
            THRESHOLDS,
            tau=TAU,
            groups=np.repeat(np.arange(prompts), responses),
            pooling=None,
            comparisons=Comparisons(first, second, labels, chance),
            confidence=CONFIDENCE,
        )
    except (InfeasibleThresholdsError, NotConvergedError):
        return None
    width = float((solved.values[1:] - solved.bounds).max())
    true = world.values(np.asarray(solved.multipliers))[1:] - THRESHOLDS
    return [width, solved.ess, float(min(solved.effective_comparisons)), len(first), *true]


def simulated_plans(sets: int) -> float:
    """Print what plans on drawn data pay for their labels; the greatest share that missed a threshold."""
    world, worst = World.build(), 0.0
    print(
        "| prompts × responses × pairs | comparisons | effective | ESS | bound below value | by the table | refused | missed any |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for design in DESIGNS:
        rng = np.random.default_rng([17, *design])
        found = [plan_on(world, design, rng) for _ in range(sets)]
        kept = np.array([row for row in found if row is not None])
        width, share, effective, count = kept[:, :4].mean(axis=0)
        z = math.sqrt(2.0 * epsilon_for_confidence(1, each_level(CONFIDENCE, CONSTRAINTS)))
        predicted = z * label_spread(share) / math.sqrt(effective)
        missed = float((kept[:, 4:] < -1e-6).any(axis=1).sum() / sets)
        worst = max(worst, missed)
        name = " × ".join(map(str, design))
        print(
            f"| {name} | {count:,.0f} | {effective:,.0f} | {share:.2f} | {width:.3f} | {predicted:.3f} | "
            f"{1 - len(kept) / sets:.2f} | {missed:.2f} |",
            flush=True,
        )
    return worst


def simulated_certificates(splits: int) -> float:
    """Print how often splits of the table's sizes certify; the least share at the nine-in-ten sizes."""
    level, least = certificate_level(), 1.0
    print("| spread | room | even odds: prompts | certified | nine in ten: prompts | certified |")
    print("|---|---|---|---|---|---|")
    for spread, room in ((0.10, 0.05), (0.10, 0.02), (0.20, 0.05)):
        sizes = prompts_needed(spread, room, level) or 0, certain_prompts(spread, room, level)
        shares = [certified_share(spread, room, size, splits) for size in sizes]
        least = min(least, shares[1])
        print(
            f"| {spread:.2f} | {room:.2f} | {sizes[0]} | {shares[0]:.2f} | {sizes[1]} | {shares[1]:.2f} |"
        )
    return least


def certified_share(spread: float, room: float, prompts: int, splits: int) -> float:
    """Share of splits whose lower bound reaches a threshold of .5; win rates over prompts are beta distributed."""
    mean = 0.5 + room
    concentration = mean * (1 - mean) / spread**2 - 1
    rng = np.random.default_rng([18, prompts])
    drawn = rng.beta(mean * concentration, (1 - mean) * concentration, size=(splits, prompts))
    errors = drawn.std(axis=1, ddof=1) / math.sqrt(prompts)
    level = certificate_level()
    return float(
        np.mean(
            [
                bounds(v, se, prompts, level)[0] >= 0.5
                for v, se in zip(drawn.mean(axis=1), errors, strict=True)
            ]
        )
    )


def main() -> None:
    """Print the tables, and the simulations beside them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=60)
    parser.add_argument("--splits", type=int, default=1000)
    parser.add_argument("--tables", action="store_true")
    given = parser.parse_args()
    for table in (comparisons_table(), prompts_table()):
        print("\n".join(table), end="\n\n")
    if not given.tables:
        missed = simulated_plans(given.sets)
        certified = simulated_certificates(given.splits)
        print(f"ratio: plans_missed={missed:.3f} certified={certified:.3f}")


if __name__ == "__main__":
    main()
