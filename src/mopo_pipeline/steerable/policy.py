"""A trained steerable policy on disk, and what it is once thresholds are given."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logsumexp

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.language.control import control_words, told
from mopo_pipeline.language.generation import Answer
from mopo_pipeline.policies.valued import Budget
from mopo_pipeline.steerable.steer import least_given_way, shares_for
from mopo_pipeline.streams import Stream, generator

FACTS = "steerable.json"
"""File of a policy's directory: what can be said behind a prompt, and what was measured of it."""


@dataclass(frozen=True)
class Point:
    """A point of the lattice.

    Attributes:
        levels: K-1, what is said.
        multipliers: K-1, what they stand for.
        values: K win rates, as the judge of fresh answers saw them on validation prompts.
        bounds: K-1, the constrained ones less what sampling leaves uncertain.
    """

    levels: tuple[int, ...]
    multipliers: tuple[float, ...]
    values: tuple[float, ...]
    bounds: tuple[float, ...]


@dataclass(frozen=True)
class Steered:
    """A steerable policy told what to be: for every answer one of a few control words is drawn.

    Attributes:
        folder: of the model.
        words: what is said behind prompts.
        shares: of the answers, one for each; sum 1.
        values: K win rates that were measured of this mixture.
        batch_tokens: padded tokens per scoring batch.
    """

    folder: Path
    words: tuple[str, ...]
    shares: tuple[float, ...]
    values: tuple[float, ...]
    batch_tokens: int

    def load(self) -> tuple[Any, Any]:
        """Model and tokenizer."""
        from mopo_pipeline.language.loading import load_model

        return load_model(self.folder)

    def ways(self, prompts: list[str]) -> list[tuple[float, list[str]]]:
        """What the model is asked for stored prompts: each of the words behind them, by its share."""
        return [
            (share, [told(prompt, words) for prompt in prompts])
            for share, words in zip(self.shares, self.words, strict=True)
        ]

    def answer_logprobs(
        self, prompts: list[str], texts: list[str], ended: Sequence[bool] | None = None
    ) -> Array:
        """Log pi of answers to stored prompts, (n,), nats; all of them ended where ``ended`` says nothing."""
        from mopo_pipeline.language.logprobs import sequence_logprobs

        model = self.load()
        each = [
            sequence_logprobs(
                *model,
                asked,
                texts,
                ended=ended,
                batch_tokens=self.batch_tokens,
                description=f"answers told {words}",
            ).logprob
            for words, (_, asked) in zip(self.words, self.ways(prompts), strict=True)
        ]
        return np.asarray(logsumexp(np.array(each) + np.log(self.shares)[:, None], axis=0))

    def sample(self, prompts: list[str], *, n: int, seed: int, **given: Any) -> list[list[Answer]]:
        """``n`` answers to every prompt, as ``sample_responses`` takes it."""
        from mopo_pipeline.language.generation import sample_responses

        rng = generator(seed, Stream.STEERED_WORDS)
        chosen = rng.choice(len(self.words), size=len(prompts) * n, p=self.shares)
        asked = [
            told(prompt, self.words[word])
            for prompt, word in zip(np.repeat(prompts, n).tolist(), chosen, strict=True)
        ]
        drawn = sample_responses(*self.load(), asked, n=1, seed=seed, **given)
        return [[answers[0] for answers in drawn[i * n : (i + 1) * n]] for i in range(len(prompts))]


@dataclass(frozen=True)
class Steerable:
    """One policy for all thresholds.

    Attributes:
        folder: of the model.
        objectives: K names, the primary first.
        points: of the lattice.
        spent: on its making.
    """

    folder: Path
    objectives: tuple[str, ...]
    points: tuple[Point, ...]
    spent: Budget

    def at(
        self, thresholds: Mapping[str, float], batch_tokens: int, *, nearest: bool = False
    ) -> Steered:
        """The policy at thresholds of all constrained objectives, by name.

        Args:
            thresholds: win rates.
            batch_tokens: padded tokens per scoring batch.
            nearest: thresholds out of reach are lowered alike until they can be held.

        Raises:
            InputError: thresholds of other objectives, or out of reach.
        """
        names = self.objectives[1:]
        if set(thresholds) != set(names):
            raise InputError(
                f"a steerable policy takes a threshold for each of {', '.join(names)}, got {', '.join(thresholds) or 'none'}"
            )
        values, bounds = (
            np.array([getattr(p, k) for p in self.points]) for k in ("values", "bounds")
        )
        asked = np.array([thresholds[name] for name in names])
        if nearest:
            asked -= max(least_given_way(bounds, asked), 0.0)
        shares = shares_for(values, bounds, asked, names)
        chosen = np.flatnonzero(shares)
        return Steered(
            self.folder,
            tuple(control_words(names, self.points[j].levels) for j in chosen),
            tuple(shares[chosen].tolist()),
            tuple((shares @ values).tolist()),
            batch_tokens,
        )

    def write(self) -> None:
        """Write what was measured beside the model."""
        plain = asdict(self) | {"folder": ""}
        (self.folder / FACTS).write_text(json.dumps(plain, indent=1), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Steerable":
        """What ``write`` wrote.

        Raises:
            InputError: the directory holds no steerable policy.
        """
        place = folder / FACTS
        if not place.is_file():
            raise InputError(
                f"{folder} holds no steerable policy: kedro run --pipelines=steerable makes one"
            )
        plain = json.loads(place.read_text(encoding="utf-8"))
        points = tuple(Point(**{k: tuple(v) for k, v in p.items()}) for p in plain["points"])
        return cls(folder, tuple(plain["objectives"]), points, Budget(**plain["spent"]))
