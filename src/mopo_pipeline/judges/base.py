"""What every judge offers, and how its scores become win rates."""

from collections.abc import Callable
from sys import modules
from traceback import extract_tb
from typing import Any, Literal, Protocol, runtime_checkable
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError, MopoError, first_line
from mopo_pipeline.memory import exhausted
from mopo_pipeline.tables import prompt_text

Link = Literal["logistic", "step"]


@runtime_checkable
class Scorer(Protocol):
    """Scores responses to prompts one by one, one score per objective, higher better.

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


@runtime_checkable
class Comparer(Protocol):
    """Holds one response against another, and has no scores of single ones.

    Attributes:
        name: short identifier used in tables.
        objectives: names of the K differences.
        link: how a difference becomes a preference probability, as of a ``Scorer``.
        opponents: most responses that one is held against where a win rate is asked for.
    """

    name: str
    objectives: tuple[str, ...]
    link: Link
    opponents: int

    def differences(self, prompts: list[str], first: list[str], second: list[str]) -> Array:
        """What speaks for the first responses, (n, K), finite; the negative of it with sides swapped."""


@runtime_checkable
class ReadsInPart(Protocol):
    """A judge that reads no more than so much of a text, and says of which it sees a part alone."""

    def read_in_part(self, prompts: list[str], responses: list[str]) -> NDArray[np.bool_]:
        """Whether each response (n,) is longer, after its prompt, than what is read of it."""


Judge = Scorer | Comparer
"""Who judges: by a score of each response, or by comparing two."""


def preference(first: Array, second: Array, link: Link) -> Array:
    """Probability that a score beats another, elementwise in [0, 1].

    >>> preference(np.array([2.0, 1.0]), np.array([1.0, 1.0]), "step").tolist()
    [1.0, 0.5]
    >>> preference(np.array([0.0]), np.array([0.0]), "logistic").tolist()
    [0.5]
    """
    gap = first - second
    return expit(gap) if link == "logistic" else 0.5 * (1.0 + np.sign(gap))


def differences(judge: Judge, prompts: list[str], first: list[str], second: list[str]) -> Array:
    """What speaks for the first responses rather than the second: the differences (n, K) of a judge's scores.

    Raises:
        InputError: a number of the wrong shape, or one that is not finite, with its prompt and answer.
    """
    if isinstance(judge, Scorer):
        judged = score(judge, prompts * 2, first + second)
        return judged[: len(first)] - judged[len(first) :]
    triples = list(zip(prompts, first, second, strict=True))
    distinct = list(dict.fromkeys(triples))
    if not distinct:
        return np.empty((0, len(judge.objectives)))
    asked, one, other = (list(column) for column in zip(*distinct, strict=True))
    values = _checked(judge, _said(judge, judge.differences, asked, one, other), asked, one)
    place = {key: i for i, key in enumerate(distinct)}
    return values[[place[key] for key in triples]]


def try_on(judge: Judge, prompts: list[str], responses: list[str]) -> None:
    """Ask a judge about these responses, so that one that cannot judge says so here.

    Raises:
        InputError: see ``differences``.
    """
    if isinstance(judge, Scorer):
        score(judge, prompts, responses)
    else:
        differences(judge, prompts, responses, responses)


def score(judge: Scorer, prompts: list[str], responses: list[str]) -> Array:
    """Judge every distinct (prompt, response) once and check what comes back.

    Returns:
        (n, K) finite scores.

    Raises:
        InputError: a score of the wrong shape, or one that is not finite, with its prompt and answer.
    """
    distinct = list(dict.fromkeys(zip(prompts, responses, strict=True)))
    if not distinct:
        return np.empty((0, len(judge.objectives)))
    asked, answers = (list(column) for column in zip(*distinct, strict=True))
    values = _checked(judge, _said(judge, judge.scores, asked, answers), asked, answers)
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

    A judge that compares has no scores: its differences from the opponents stand for them on average, and it meets
    at most as many opponents as it says.

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
    if isinstance(judge, Comparer):
        opponents = [few(texts, judge.opponents) for texts in opponents]
    sizes = np.array([len(texts) for texts in opponents], dtype=np.intp)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)

    def mean(values: Array) -> Array:
        if not len(sizes):
            return values
        total = np.add.reduceat(values, starts, axis=0)
        return np.asarray((total.T / sizes).T)

    flat_prompts = [p for p, size in zip(prompts, sizes, strict=True) for _ in range(size)]
    flat = [text for texts in opponents for text in texts]
    if isinstance(judge, Comparer):
        own = [r for r, size in zip(responses, sizes, strict=True) for _ in range(size)]
        gaps = differences(judge, flat_prompts, own, flat)
        return mean(gaps), gaps, mean
    judged = score(judge, prompts + flat_prompts, responses + flat)
    scores, other = judged[: len(responses)], judged[len(responses) :]
    return scores, np.repeat(scores, sizes, axis=0) - other, mean


def few(texts: list[str], most: int) -> list[str]:
    """At most so many of the texts, chosen by what they say and not by where they stand.

    >>> few(["a", "b", "c"], 3)
    ['a', 'b', 'c']
    >>> few(["a", "b", "c"], 2) == few(["c", "b", "a"], 2)
    True
    """
    if len(texts) <= most:
        return texts
    return sorted(texts, key=lambda text: (crc32(text.encode()), text))[:most]


def _said(judge: Judge, ask: Callable[..., Any], *texts: list[str]) -> Any:
    """What a judge gives for these texts; of one of the user's own a fault is one line that says where it is."""
    try:
        return ask(*texts)
    except MopoError:
        raise
    except Exception as error:
        made = type(getattr(judge, "judge", judge)).__module__
        if exhausted(error) or made.split(".")[0] == __name__.split(".")[0]:
            raise
        frames = extract_tb(error.__traceback__)
        own = [
            frame
            for frame in frames
            if frame.filename == getattr(modules.get(made), "__file__", "")
        ]
        at = (own or frames)[-1]
        raise InputError(
            f"judge {judge.name!r} failed on {len(texts[0])} answers at {at.filename}, line {at.lineno}: "
            f"{type(error).__name__}: {first_line(error)}; repair it or choose another"
        ) from error


def _checked(judge: Judge, given: Any, prompts: list[str], responses: list[str]) -> Array:
    """What a judge gave, (n, K), if it is numbers, of that shape and finite."""
    try:
        values = np.asarray(given, np.float64)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"judge {judge.name!r} returned a {type(given).__name__} that is no array of numbers ({first_line(error)}); its "
            "scores are one of NumPy, a row per answer and a column per objective"
        ) from error
    expected = (len(prompts), len(judge.objectives))
    if values.shape != expected:
        raise InputError(
            f"judge {judge.name!r} returned scores of shape {values.shape}, expected {expected}"
        )
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = (int(i[0]) for i in np.nonzero(bad))
        raise InputError(
            f"judge {judge.name!r} gave {values[row, column]} for objective "
            f"{judge.objectives[column]!r} on the answer {responses[row][:60]!r} to "
            f"{prompt_text(prompts[row])[:60]!r}; scores must be finite: repair the judge or choose another"
        )
    return values
