"""Does the learned policy hold its thresholds, and at what price, measured where every answer is known.

Prompts differ in difficulty: how far their answers lie apart, and how much the two objectives
conflict. For each number of responses per prompt the problem is solved on repeated draws; what a
policy trained on the weights learns, ``pi(y|x) ∝ mu(y|x) E[ratio | x, y]``, is then valued on all
answers of every prompt. Beside it the policy of the multipliers themselves, and how far planned
values lie from it. Run: ``make bench-pooling``; some minutes on one core. The last line holds the
worst miss, the largest excess and the largest loss of primary, each from eight responses on.
"""

from dataclasses import dataclass

import numpy as np

from mopo_pipeline.mopo import InfeasibleThresholdsError, solve_dual

PROMPTS, ANSWERS, DRAWS = 300, 48, 40
TAU = 0.12
THRESHOLDS = (0.45, 0.55, 0.60)
RESPONSES = (2, 4, 8, 16, 64)
MANY = 8
"""Responses from which the value of a policy is well estimated."""


@dataclass(frozen=True)
class Learned:
    """What was learned from ``n`` responses per prompt, win rates (2,) each."""

    weights: np.ndarray
    multipliers: np.ndarray
    planned: np.ndarray
    refused: int


@dataclass(frozen=True)
class World:
    """Win rates (P, A, 2) of every answer to every prompt; answers are drawn uniformly."""

    win_rates: np.ndarray

    @classmethod
    def draw(cls, difficulty: float, rng: np.random.Generator) -> "World":
        """``difficulty`` is the standard deviation of the log spread of a prompt's answers."""
        scale = np.exp(difficulty * rng.normal(size=PROMPTS) - difficulty**2 / 2)
        conflict = np.clip(-0.5 + 0.4 * difficulty * rng.normal(size=PROMPTS), -0.95, 0.95)
        first = rng.normal(size=(PROMPTS, ANSWERS))
        other = rng.normal(size=(PROMPTS, ANSWERS))
        second = conflict[:, None] * first + np.sqrt(1 - conflict[:, None] ** 2) * other
        utility = scale[:, None, None] * np.stack([first, second], axis=-1) * 1.5
        margin = utility[:, :, None, :] - utility[:, None, :, :]
        return cls((1 / (1 + np.exp(-margin))).mean(axis=2))

    def learned(
        self, n: int, threshold: float, pooling: float | None, rng: np.random.Generator
    ) -> Learned:
        """Solve on repeated draws of ``n`` responses per prompt and value what is learned."""
        total, counts = np.zeros((PROMPTS, ANSWERS)), np.zeros((PROMPTS, ANSWERS))
        planned, exact, refused = [], [], 0
        for _ in range(DRAWS):
            drawn = rng.integers(0, ANSWERS, size=(PROMPTS, n))
            prompt = np.repeat(np.arange(PROMPTS), n)
            rows = self.win_rates[prompt, drawn.ravel()]
            try:
                found = solve_dual(rows, [threshold], tau=TAU, groups=prompt, pooling=pooling)
            except InfeasibleThresholdsError:
                refused += 1
                continue
            np.add.at(total, (prompt, drawn.ravel()), found.ratio)
            np.add.at(counts, (prompt, drawn.ravel()), 1.0)
            planned.append(found.values)
            exact.append(self.value(np.exp(self.exponent(found.multipliers))))
        if not planned:
            return Learned(*np.full((3, 2), np.nan), refused)
        ratio = np.where(counts > 0, total / np.maximum(counts, 1), 0.0)
        return Learned(self.value(ratio), np.mean(exact, axis=0), np.mean(planned, axis=0), refused)

    def exponent(self, multipliers: np.ndarray) -> np.ndarray:
        """(P, A) log of target over behaviour, largest 0."""
        found = self.win_rates @ np.append(1.0, multipliers) / TAU
        return found - found.max(axis=1, keepdims=True)

    def value(self, ratio: np.ndarray) -> np.ndarray:
        """Values (2,) of the policy proportional to ``ratio`` (P, A)."""
        policy = ratio / ratio.sum(axis=1, keepdims=True)
        return (policy[:, :, None] * self.win_rates).sum(axis=1).mean(axis=0)

    def optimum(self, threshold: float) -> np.ndarray:
        """Values (2,) of the exact optimum over all answers."""
        prompt = np.repeat(np.arange(PROMPTS), ANSWERS)
        return solve_dual(self.win_rates.reshape(-1, 2), [threshold], tau=TAU, groups=prompt).values


def main() -> None:
    """Print one row per difficulty, threshold and number of responses."""
    print(
        "difficulty asked n | learned: primary other | of multipliers | planned | optimum | refused"
    )
    worst = np.array([np.inf, -np.inf, -np.inf])
    for difficulty in (0.0, 0.5, 1.0):
        world = World.draw(difficulty, np.random.default_rng(7))
        for threshold in THRESHOLDS:
            best = world.optimum(threshold)
            floor = max(threshold, best[1])
            for n in RESPONSES:
                found = world.learned(n, threshold, None, np.random.default_rng(n))
                cells = " | ".join(
                    f"{pair[0]:.3f} {pair[1]:.3f}"
                    for pair in (found.weights, found.multipliers, found.planned, best)
                )
                print(
                    f"{difficulty:g} {threshold:g} {n:<2} | {cells} | {found.refused}", flush=True
                )
                if n >= MANY:
                    here = (
                        found.weights[1] - floor,
                        found.weights[1] - floor,
                        best[0] - found.weights[0],
                    )
                    worst = np.array([min(worst[0], here[0]), *np.maximum(worst[1:], here[1:])])
    print("ratio: miss={:.4f} excess={:.4f} loss={:.4f}".format(*worst))


if __name__ == "__main__":
    main()
