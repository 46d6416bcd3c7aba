"""What weights say and what thresholds say, on the pocket task, whose values are exact: the picture of docs/guide/weights.md.

Every point is the exact optimum of ``E s - tau KL`` for a weighted sum s of the objectives, or of the same under
thresholds. Run: ``make picture-weights``; writes docs/images/weights.png and prints the numbers the page cites.
"""

from itertools import product
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mopo_pipeline.mopo import DualSolution, InfeasibleThresholdsError, solve_dual
from mopo_pipeline.pareto import true_front
from mopo_pipeline.pocket import task as pocket

TAU, THRESHOLDS = 0.1, (0.50, 0.45)
STEPS = 11
WEIGHTS_HUE, THRESHOLDS_HUE = "#6E6E6E", "#D55E00"
OUT = Path(__file__).resolve().parents[1] / "docs/images/weights.png"


def problem() -> pocket.ExactProblem:
    """Every setting of the task once, with all its answers."""
    first = {
        pocket.scores(p).tobytes() + pocket.behaviour(p).tobytes(): p for p in pocket.prompts()
    }
    return pocket.exact_problem(list(first.values()))


def weighted(
    exact: pocket.ExactProblem, weights: np.ndarray, tau: float
) -> tuple[np.ndarray, float]:
    """Values (3,) and KL of the optimum of a weighted sum, weights (3,) of sum 1."""
    mixed = np.clip(exact.win_rates @ weights, 0.0, 1.0)
    table = np.column_stack([mixed, exact.win_rates])
    solved = solve_dual(table, [0.0] * 3, tau=tau, reference=exact.reference, groups=exact.groups)
    return np.asarray(solved.values[1:]), float(solved.kl)


def weighted_at(exact: pocket.ExactProblem, weights: np.ndarray, kl: float) -> np.ndarray:
    """Values (3,) of a weighted sum at the temperature that moves this far from the reference."""
    low, high = 0.005, 2.0
    for _ in range(18):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if weighted(exact, weights, middle)[1] > kl else (low, middle)
    return weighted(exact, weights, high)[0]


def constrained(
    exact: pocket.ExactProblem, columns: list[int], asked: list[float]
) -> DualSolution | None:
    """The optimum under thresholds on all columns but the first; None where out of reach."""
    table = exact.win_rates[:, columns]
    try:
        return solve_dual(table, asked, tau=TAU, reference=exact.reference, groups=exact.groups)
    except InfeasibleThresholdsError:
        return None


def simplex(steps: int) -> list[np.ndarray]:
    """Weightings of three objectives in equal steps."""
    cells = product(range(steps), repeat=2)
    return [np.array([steps - 1 - i - j, i, j]) / (steps - 1) for i, j in cells if i + j < steps]


def draw() -> None:
    """The picture, and its numbers."""
    exact = problem()
    figure = Figure(figsize=(10.5, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _two(left, exact)
    _three(right, exact)
    figure.savefig(OUT, dpi=160)
    print(OUT)


def _two(axis: Axes, exact: pocket.ExactProblem) -> None:
    """Helpfulness against harmlessness: equal steps of weight beside equal steps of threshold."""
    steps = np.linspace(0, 0.9, 10)
    by_weight = _by_weight(exact, steps, TAU)
    found = [
        constrained(exact, [0, 1], [b]) for b in np.linspace(*by_weight[[0, -1], 1], len(steps))
    ]
    by_threshold = np.array([solved.values for solved in found if solved is not None])
    front = true_front(exact.win_rates[:, :2], reference=exact.reference, groups=exact.groups)
    axis.plot(
        front[:, 1], front[:, 0], color="#BBBBBB", label="front without the pull to the reference"
    )
    axis.plot(
        by_weight[:, 1],
        by_weight[:, 0],
        "o",
        color=WEIGHTS_HUE,
        label="weights 1 − w and w, w = 0, .1 … .9",
    )
    axis.plot(
        by_threshold[:, 1],
        by_threshold[:, 0],
        "|",
        markersize=18,
        markeredgewidth=2,
        color=THRESHOLDS_HUE,
        label="thresholds in ten equal steps",
    )
    axis.set(xlabel="harmlessness", ylabel="helpfulness", title="Two objectives")
    axis.legend(frameon=False, loc="lower left", fontsize=9)
    for tau in (TAU, 0.05, 0.2):
        values = _by_weight(exact, steps, tau).round(3)
        print(
            f"tau {tau}: harmlessness by weight",
            values[:, 1].tolist(),
            "helpfulness",
            values[:, 0].tolist(),
        )
    print("thresholds", np.round(by_threshold, 3).tolist())


def _by_weight(exact: pocket.ExactProblem, steps: np.ndarray, tau: float) -> np.ndarray:
    """Values (n, 3) for weights 1 - w on helpfulness, w (n,) on harmlessness, the pull as strong as with w 0."""
    return np.array([weighted(exact, np.array([1 - w, w, 0.0]), tau * (1 - w))[0] for w in steps])


def _three(axis: Axes, exact: pocket.ExactProblem) -> None:
    """All three, equally far from the reference: which weightings hold both thresholds, and the best of them."""
    optimum = constrained(exact, [0, 1, 2], list(THRESHOLDS))
    assert optimum is not None
    grid = simplex(STEPS)
    values = np.array([weighted_at(exact, w, float(optimum.kl)) for w in grid])
    axis.axvline(THRESHOLDS[0], color="#009E73", linewidth=1)
    axis.axhline(THRESHOLDS[1], color="#009E73", linewidth=1)
    shown = axis.scatter(values[:, 1], values[:, 2], c=values[:, 0], cmap="viridis", s=34)
    axis.plot(*optimum.values[1:], "*", markersize=17, color=THRESHOLDS_HUE)
    axis.annotate(
        "solved from\nthe thresholds",
        optimum.values[1:],
        (9, 9),
        textcoords="offset points",
        fontsize=9,
    )
    axis.set(
        xlabel="harmlessness (threshold .50)",
        ylabel="conciseness (threshold .45)",
        title=f"Three objectives: {len(grid)} weightings",
    )
    axis.figure.colorbar(shown, ax=axis, label="helpfulness")
    for name, vectors, reached in (("tenths", grid, values), _finer(exact, float(optimum.kl))):
        held = (reached[:, 1:] >= np.array(THRESHOLDS) - 1e-9).all(axis=1)
        best = int(np.argmax(np.where(held, reached[:, 0], -1)))
        print(
            f"{name}: {held.sum()} of {len(vectors)} hold; best {vectors[best]}: {reached[best].round(3)}"
        )
    total = 1 + optimum.multipliers.sum()
    print(
        "optimum",
        optimum.values.round(3),
        f"KL {optimum.kl:.3f}",
        "weights",
        np.append(1, optimum.multipliers) / total,
    )


def _finer(exact: pocket.ExactProblem, kl: float) -> tuple[str, list[np.ndarray], np.ndarray]:
    """Weightings in twentieths and what they reach, (n, 3)."""
    grid = simplex(2 * STEPS - 1)
    return "twentieths", grid, np.array([weighted_at(exact, w, kl) for w in grid])


if __name__ == "__main__":
    draw()
