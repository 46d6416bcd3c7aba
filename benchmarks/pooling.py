"""How much pooling the normaliser needs, measured where every answer is known.

Prompts differ in difficulty: how far their answers lie apart, and how much the two objectives
conflict. For each number of responses per prompt the problem is solved on repeated draws; what a
policy trained on the weights would learn, ``pi(y|x) ∝ mu(y|x) E[ratio | x, y]``, is then valued on
all answers of every prompt. Run: ``python benchmarks/pooling.py``; a minute on one core.
"""

from dataclasses import dataclass

import numpy as np

from mopo_pipeline.mopo import choose_pooling, solve_dual

PROMPTS, ANSWERS, DRAWS = 300, 48, 40
TAU, THRESHOLD = 0.12, 0.45
RESPONSES = (2, 4, 8, 16, 64)
POOLINGS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0, np.inf)


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

    def learned(self, n: int, pooling: float | None, rng: np.random.Generator) -> np.ndarray:
        """Values (2,) of the policy learned from ``n`` responses per prompt; mean kappa third."""
        total = np.zeros((PROMPTS, ANSWERS))
        counts = np.zeros((PROMPTS, ANSWERS))
        chosen = []
        for _ in range(DRAWS):
            drawn = rng.integers(0, ANSWERS, size=(PROMPTS, n))
            prompt = np.repeat(np.arange(PROMPTS), n)
            rows = self.win_rates[prompt, drawn.ravel()]
            kappa = (
                choose_pooling(rows, tau=TAU, groups=prompt, thresholds=[THRESHOLD])
                if pooling is None
                else pooling
            )
            chosen.append(kappa)
            solution = solve_dual(rows, [THRESHOLD], tau=TAU, groups=prompt, pooling=kappa)
            np.add.at(total, (prompt, drawn.ravel()), solution.ratio)
            np.add.at(counts, (prompt, drawn.ravel()), 1.0)
        ratio = np.where(counts > 0, total / np.maximum(counts, 1), 0.0)
        policy = ratio / ratio.sum(axis=1, keepdims=True)
        values = (policy[:, :, None] * self.win_rates).sum(axis=1).mean(axis=0)
        return np.append(values, np.median(chosen))

    def optimum(self) -> np.ndarray:
        """Values (2,) of the exact optimum over all answers."""
        prompt = np.repeat(np.arange(PROMPTS), ANSWERS)
        return solve_dual(self.win_rates.reshape(-1, 2), [THRESHOLD], tau=TAU, groups=prompt).values


def main() -> None:
    """Print one table per degree of difficulty."""
    for difficulty in (0.0, 0.5, 1.0):
        world = World.draw(difficulty, np.random.default_rng(7))
        best = world.optimum()
        print(f"difficulty {difficulty}: optimum {best[0]:.3f}; {best[1]:.3f}")
        for n in RESPONSES:
            cells = []
            for pooling in (*POOLINGS, None):
                rng = np.random.default_rng(n)
                primary, other, kappa = world.learned(n, pooling, rng)
                name = f"chosen({kappa:.1f})" if pooling is None else f"{pooling:g}"
                cells.append(f"{name}: {primary:.3f} {other:.3f}")
            print(f"  n={n:<3}" + " | ".join(cells), flush=True)


if __name__ == "__main__":
    main()
