"""Data of a user's own: rated answers in one file."""

import json
from pathlib import Path

import numpy as np

from tiny_training import WORDS


def rated(file: Path) -> None:
    """A file of rated answers, 80 prompts of five, two ratings that have nothing to do with each other."""
    rng, rows = np.random.default_rng(0), []
    for _ in range(80):
        prompt = " ".join(rng.choice(WORDS, 4))
        for _ in range(5):
            answer = rng.choice(WORDS, rng.integers(2, 7))
            kept = int(np.isin(answer, prompt.split()).sum())
            rows.append(
                {
                    "prompt": prompt,
                    "response": " ".join(answer),
                    "helpful": kept + rng.random(),
                    "brief": -len(answer) + 3 * rng.random(),
                }
            )
    file.write_text("\n".join(json.dumps(row) for row in rows))
