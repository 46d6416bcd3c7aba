"""How often an accepted plan misses a threshold it promised, on designs as clustered as real data.

Every data set is drawn anew: prompts, responses, compared pairs and their labels, with exact win
rates and predictions, three objectives and thresholds part of the way from the data to what is
attainable. The plan's multipliers are then valued on a large population of prompts with all their
answers. A miss is a threshold of an accepted plan that its policy does not hold; the level is joint.
Run: ``make bench-coverage``; options ``--sets``, ``--confidence``, ``--designs``, ``--processes``.
``--win-rates posterior`` draws the win rates from the labels themselves, on top of scores that say part
of the truth: then the policy of every plan is valued on fresh prompts whose labels make win rates in
the same way, by the answers' exact win rates. ``posterior-in-sample`` is the negative control: win rates
and predictions that saw the labels they are held against.
The last line holds the share of missed plans per design.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import special

from mopo_pipeline.mopo import (
    Comparisons,
    InfeasibleThresholdsError,
    NotConvergedError,
    solve_dual,
)
from mopo_pipeline.mopo.learned import learned_values
from mopo_pipeline.preferences.own_labels import comparison_folds, fit_own_labels
from mopo_pipeline.preferences.posterior import Pairs

TAU, OBJECTIVES, ANSWERS = 0.12, 3, 48
WORDS, FOLDS, FRESH = 0.6, 4, 2000
"""Share of the utilities' spread that scores explain; folds of comparisons; fresh prompts that value a plan."""
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


@dataclass(frozen=True)
class Drawn:
    """Rows of a design's prompts, their exact win rates, and labelled pairs with their probabilities."""

    prompt: np.ndarray
    utility: np.ndarray
    exact: np.ndarray
    first: np.ndarray
    second: np.ndarray
    labels: np.ndarray
    probability: np.ndarray


def draw(design: Design, prompts: int, rng: np.random.Generator) -> Drawn:
    """Prompts, answers, compared pairs and labels, all anew."""
    utility = utilities(prompts, rng)
    exact = win_rates(utility)
    drawn = rng.integers(0, ANSWERS, size=(prompts, design.responses))
    prompt = np.repeat(np.arange(prompts), design.responses)
    every = np.array(list(combinations(range(design.responses), 2)))
    pairs = []
    for x in range(prompts):
        chosen = every
        if design.pairs is not None:
            chosen = np.sort(
                [rng.choice(design.responses, 2, replace=False) for _ in range(design.pairs)],
                axis=1,
            )
        pairs.append(chosen + x * design.responses)
    first, second = np.concatenate(pairs).T
    value = utility[prompt, drawn.ravel()]
    probability = 1 / (1 + np.exp(value[second] - value[first]))
    labels = (rng.random(probability.shape) < probability).astype(float)
    return Drawn(prompt, value, exact[prompt, drawn.ravel()], first, second, labels, probability)


def believed(drawn: Drawn, rng: np.random.Generator) -> tuple[np.ndarray, Comparisons]:
    """Win rates (N, K) by posterior from scores that know part of the utilities, and their comparisons."""
    noise = rng.normal(size=drawn.utility.shape) * drawn.utility.std(axis=0)
    scores = WORDS * (WORDS * drawn.utility + np.sqrt(1 - WORDS**2) * noise)
    folds = comparison_folds(drawn.prompt[drawn.first], FOLDS, rng)
    found = [
        fit_own_labels(
            scores[:, k],
            drawn.prompt,
            Pairs(drawn.first, drawn.second, drawn.labels[:, k], np.ones(len(folds))),
            folds,
            1,
        )
        for k in range(OBJECTIVES)
    ]
    every = np.column_stack([own.win_rates for own in found])
    tables = np.stack(
        [
            np.column_stack(
                [own.win_rates if own.without is None else own.without[j] for own in found]
            )
            for j in range(FOLDS)
        ]
    )
    predicted = np.column_stack([own.predictions for own in found])
    return every, Comparisons(
        drawn.first, drawn.second, drawn.labels, predicted, None, folds, tables
    )


def in_sample(drawn: Drawn, rng: np.random.Generator) -> tuple[np.ndarray, Comparisons]:
    """``believed``, with win rates and predictions of a fit to all labels, these among them."""
    every, _ = believed(drawn, rng)
    index = drawn.first, drawn.second
    gap = special.logit(every[index[0]]) - special.logit(every[index[1]])
    return every, Comparisons(*index, drawn.labels, special.expit(gap))


def replicate(task: tuple[str, float, int, str]) -> tuple[bool, np.ndarray]:
    """Whether the plan was accepted, and the true values (K,) of its policy."""
    name, confidence, seed, method = task
    design = DESIGNS[name]
    rng = np.random.default_rng([seed, sorted(DESIGNS).index(name)])
    drawn = draw(design, design.prompts, rng)
    if method == "exact":
        rates = drawn.exact
        compared = Comparisons(drawn.first, drawn.second, drawn.labels, drawn.probability)
    else:
        rates, compared = (believed if method == "posterior" else in_sample)(drawn, rng)
    try:
        found = solve_dual(
            rates,
            THRESHOLDS,
            tau=TAU,
            groups=drawn.prompt,
            pooling=None,
            comparisons=compared,
            confidence=confidence,
        )
    except (InfeasibleThresholdsError, NotConvergedError):
        return False, np.full(OBJECTIVES, np.nan)
    if method == "exact":
        return True, population_value(found.multipliers)
    return True, fresh_value(design, found.multipliers, method == "posterior")


def fresh_value(design: Design, multipliers: np.ndarray, mixture: bool) -> np.ndarray:
    """True values (K,) of these multipliers' policies on fresh prompts, by the answers' exact win rates."""
    key = f"{design}"
    if key not in _fresh:
        rng = np.random.default_rng(98)
        fresh = draw(design, FRESH, rng)
        _fresh[key] = fresh, *believed(fresh, rng)
    fresh, every, compared = _fresh[key]
    tables = np.asarray(compared.fold_win_rates) if mixture else every[None]
    values = [
        learned_values(table @ np.append(1.0, multipliers) / TAU, fresh.exact, fresh.prompt)
        for table in tables
    ]
    return np.mean(values, axis=0)


_fresh: dict[str, tuple[Drawn, np.ndarray, Comparisons]] = {}


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
    parser.add_argument(
        "--first-set", type=int, default=0, help="number, and so the draw, of the first"
    )
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--designs", nargs="+", default=list(DESIGNS), choices=list(DESIGNS))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument(
        "--win-rates", default="exact", choices=["exact", "posterior", "posterior-in-sample"]
    )
    options = parser.parse_args()
    print("design | refused | missed, each | missed, any (2 SE above the level) | loss of primary")
    shares = []
    with ProcessPoolExecutor(options.processes) as pool:
        for name in options.designs:
            tasks = [
                (name, options.confidence, options.first_set + i, options.win_rates)
                for i in range(options.sets)
            ]
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
