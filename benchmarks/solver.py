"""The exact dual against a cone solver, in passes over the data, in copies of the input, and in N.

One run times everything side by side. A *pass* is one exp per row and one grouped sum, on the same
rows. Run: ``make bench-solver``; half a minute on one core. The last line holds the ratios.
"""

import argparse
import time
import tracemalloc
from collections.abc import Callable
from statistics import median

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from mopo_pipeline.mopo import DualSolution, solve_dual

Array = NDArray[np.float64]
TAU = 0.1
RESPONSES = 6


def instance(n_rows: int, n_objectives: int) -> tuple[Array, Array, NDArray[np.int64]]:
    """Win rates of prompts with six responses whose objectives conflict, and thresholds that bind."""
    rng = np.random.default_rng(n_rows)
    groups = np.arange(n_rows) // RESPONSES
    common = rng.normal(size=(n_rows, 1))
    own = rng.normal(size=(n_rows, n_objectives))
    signs = np.where(np.arange(n_objectives) == 0, 1.0, -0.5)
    win_rates = 1 / (1 + np.exp(-(signs * common + 0.7 * own)))
    return win_rates, np.full(n_objectives - 1, 0.53), groups


def cone_programme(
    win_rates: Array, thresholds: Array, groups: NDArray[np.int64]
) -> tuple[float, float]:
    """Seconds and objective of the same problem through cvxpy and Clarabel."""
    from scipy.sparse import csr_array

    n_rows = len(groups)
    begin = time.perf_counter()
    ratio = cp.Variable(n_rows, nonneg=True)
    sums = csr_array((np.ones(n_rows), (groups, np.arange(n_rows))))
    sizes = np.bincount(groups)
    objective = (win_rates[:, 0] @ ratio + TAU * cp.sum(cp.entr(ratio))) / n_rows
    held = win_rates[:, 1:].T @ ratio / n_rows >= thresholds
    cp.Problem(cp.Maximize(objective), [sums @ ratio == sizes, held]).solve(solver=cp.CLARABEL)
    return time.perf_counter() - begin, float(objective.value)


def one_pass(win_rates: Array, groups: NDArray[np.int64]) -> Callable[[], Array]:
    """One exp per row and one sum per prompt."""
    exponent = win_rates @ np.ones(win_rates.shape[1])
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    return lambda: np.add.reduceat(np.exp(exponent), starts)


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median wall time."""
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return median(taken)


def compare_with_cvxpy(ratios: dict[str, float]) -> Table:
    """Time and objective of both on the same instances, each the median of three runs in turn."""
    table = Table(
        title="solve_dual against cvxpy + Clarabel (4 objectives, three binding thresholds)"
    )
    for name in ("rows", "cvxpy s", "ours s", "ratio", "objective differs by", "gap"):
        table.add_column(name, justify="right")
    for n_rows in (1_000, 10_000):
        win_rates, thresholds, groups = instance(n_rows, 4)

        def solve(
            w: Array = win_rates, b: Array = thresholds, g: NDArray[np.int64] = groups
        ) -> DualSolution:
            return solve_dual(w, b, tau=TAU, groups=g)

        found = solve()
        assert found.status == ("active",) * 3
        rounds = [
            (*cone_programme(win_rates, thresholds, groups), seconds(solve, 5)) for _ in range(3)
        ]
        theirs, objective, ours = (median(column) for column in zip(*rounds, strict=True))
        table.add_row(
            f"{n_rows:,}",
            f"{theirs:.2f}",
            f"{ours:.4f}",
            f"{theirs / ours:.0f}x",
            f"{abs(found.values[0] - TAU * found.kl - objective):.1e}",
            f"{found.duality_gap:.1e}",
        )
        ratios[f"cvxpy_{n_rows}"] = theirs / ours
    return table


def scale(largest: int, ratios: dict[str, float]) -> Table:
    """Passes, memory and cost per row from 10,000 rows up."""
    table = Table(title="solve_dual by size (4 objectives, three binding thresholds)")
    for name in ("rows", "pass s", "solve s", "passes", "copies of the input", "ns per row"):
        table.add_column(name, justify="right")
    n_rows = 10_000
    while n_rows <= largest:
        win_rates, thresholds, groups = instance(n_rows, 4)

        def solve(
            w: Array = win_rates, b: Array = thresholds, g: NDArray[np.int64] = groups
        ) -> DualSolution:
            return solve_dual(w, b, tau=TAU, groups=g)

        step = seconds(one_pass(win_rates, groups), 5)
        whole = seconds(solve, 3)
        tracemalloc.start()
        solve()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        copies = peak / (win_rates.nbytes + groups.nbytes)
        table.add_row(
            f"{n_rows:,}",
            f"{step:.4f}",
            f"{whole:.3f}",
            f"{whole / step:.0f}",
            f"{copies:.1f}",
            f"{whole / n_rows * 1e9:.0f}",
        )
        ratios[f"passes_{n_rows}"], ratios[f"copies_{n_rows}"] = whole / step, copies
        ratios[f"ns_per_row_{n_rows}"] = whole / n_rows * 1e9
        n_rows *= 10
    return table


def main() -> None:
    """Print both tables and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--largest", type=int, default=10_000_000, help="rows of the largest problem"
    )
    options = parser.parse_args()
    console = Console()
    ratios: dict[str, float] = {}
    console.print(compare_with_cvxpy(ratios))
    console.print(scale(options.largest, ratios))
    print("ratio:", *(f"{name}={value:.3g}" for name, value in ratios.items()))


if __name__ == "__main__":
    main()
