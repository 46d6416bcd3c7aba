"""What every judge offers, and how its scores become win rates."""

from collections.abc import Callable
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from scipy.special import expit

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.tables import prompt_text

Link = Literal["logistic", "step"]


@runtime_checkable
class Judge(Protocol):
    """Scores responses to prompts, one score per objective, higher better.

    Attributes:
        name: short identifier used in tables.
        objectives: names of the K scores.
        link: how a score difference becomes a preference probability: ``logistic`` is
            Bradley-Terry, sigmoid(a - b); ``step`` is 1 for the higher score and .5 for equal ones.
    """

    name: str
    objectives: tuple[str, ...]
    link: Link

    def scores(self, prompts: list[str], responses: list[str]) -> Array:
        """Scores (n, K), finite, comparable within a prompt."""


def preference(first: Array, second: Array, link: Link) -> Array:
    """Probability that a score beats another, elementwise in [0, 1].

    >>> preference(np.array([2.0, 1.0]), np.array([1.0, 1.0]), "step").tolist()
    [1.0, 0.5]
    >>> preference(np.array([0.0]), np.array([0.0]), "logistic").tolist()
    [0.5]
    """
    gap = first - second
    return expit(gap) if link == "logistic" else 0.5 * (1.0 + np.sign(gap))


def score(judge: Judge, prompts: list[str], responses: list[str]) -> Array:
    """Judge every distinct (prompt, response) once and check what comes back.

    Returns:
        (n, K) finite scores.

    Raises:
        InputError: a score of the wrong shape, or one that is not finite, with its prompt and answer.
    """
    distinct = list(dict.fromkeys(zip(prompts, responses, strict=True)))
    if not distinct:
        return np.empty((0, len(judge.objectives)))
    values = np.asarray(
        judge.scores([p for p, _ in distinct], [r for _, r in distinct]), np.float64
    )
    expected = (len(distinct), len(judge.objectives))
    if values.shape != expected:
        raise InputError(
            f"judge {judge.name!r} returned scores of shape {values.shape}, expected {expected}"
        )
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = (int(i[0]) for i in np.nonzero(bad))
        raise InputError(
            f"judge {judge.name!r} gave {values[row, column]} for objective "
            f"{judge.objectives[column]!r} on the answer {distinct[row][1][:60]!r} to "
            f"{prompt_text(distinct[row][0])[:60]!r}; scores must be finite: repair the judge or choose another"
        )
    place = {key: i for i, key in enumerate(distinct)}
    return values[[place[key] for key in zip(prompts, responses, strict=True)]]


def win_rates_against(
    judge: Judge, prompts: list[str], responses: list[str], opponents: list[list[str]]
) -> Array:
    """Win rate of each response against the opponents given for it, ties counting half.

    Args:
        judge: scores texts.
        prompts: n stored prompts.
        responses: n texts.
        opponents: n non-empty lists of texts that answer the same prompt, a sample of the behaviour
            policy.

    Returns:
        (n, K) in [0, 1].

    Raises:
        InputError: a response without opponents, or scores that are not finite.
    """
    _, gaps, mean = against(judge, prompts, responses, opponents)
    return mean(preference(gaps, np.zeros_like(gaps), judge.link))


def against(
    judge: Judge, prompts: list[str], responses: list[str], opponents: list[list[str]]
) -> tuple[Array, Array, Callable[[Array], Array]]:
    """Scores of the responses, and their differences from those of their opponents.

    Returns:
        Scores (n, K), differences (D, K) with D the number of opponents in all, and the mean over each
        response's opponents, from (D, ...) to (n, ...).

    Raises:
        InputError: a response without opponents, or scores that are not finite.
    """
    empty = [i for i, texts in enumerate(opponents) if not texts]
    if empty:
        raise InputError(
            f"response {empty[0]} has no opponent to be compared with; its prompt needs at least one "
            "response in the data"
        )
    sizes = np.array([len(texts) for texts in opponents], dtype=np.intp)
    flat_prompts = [p for p, size in zip(prompts, sizes, strict=True) for _ in range(size)]
    flat = [text for texts in opponents for text in texts]
    judged = score(judge, prompts + flat_prompts, responses + flat)
    own, other = judged[: len(responses)], judged[len(responses) :]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)

    def mean(values: Array) -> Array:
        if not len(sizes):
            return values
        total = np.add.reduceat(values, starts, axis=0)
        return np.asarray((total.T / sizes).T)

    return own, np.repeat(own, sizes, axis=0) - other, mean
