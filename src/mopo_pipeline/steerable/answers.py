"""A steerable policy asked for some thresholds: its words, their measured values, and answers."""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.evaluation.sampling import longest_answer, prompts_of_test_split
from mopo_pipeline.parameters.base import Position, TaskParams, Threshold
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.steerable.policy import Steerable, Steered
from mopo_pipeline.streams import completion_seed

SHOWN = 3
"""Test prompts that are answered."""


def steered_answers(
    folder: Path,
    responses: pd.DataFrame,
    task: TaskParams,
    evaluate: EvaluateParams,
    given: Mapping[str, Threshold],
) -> pd.DataFrame:
    """A row per test prompt.

    Args:
        folder: of the steerable policy.
        responses: with their split.
        task: whose thresholds hold where ``given`` leaves one out.
        evaluate: the decoder.
        given: thresholds by name.

    Returns:
        prompt, response, ``words`` with their shares, ``seconds`` from thresholds to words,
        ``threshold_<objective>`` and ``value_<objective>``.

    Raises:
        InputError: thresholds out of the policy's reach, or of no constrained objective.
    """
    from mopo_pipeline.language.loading import load_tokenizer

    policy, longest = Steerable.read(folder), longest_answer(load_tokenizer(folder), responses)
    prompts = prompts_of_test_split(responses, SHOWN, task.seed)["prompt"].tolist()
    begun = time.perf_counter()
    thresholds = resolved(policy, task, given)
    steered = policy.at(thresholds, evaluate.batch_tokens)
    took = time.perf_counter() - begun
    answers = steered.sample(
        prompts,
        n=1,
        seed=completion_seed(task.seed, policy=True),
        max_new_tokens=evaluate.sampling.max_new_tokens or longest,
        batch_size=evaluate.sampling.batch_size,
        temperature=evaluate.sampling.temperature,
        top_p=evaluate.sampling.top_p,
    )
    table = pd.DataFrame({"prompt": prompts, "response": [some[0].text for some in answers]})
    named = {f"threshold_{name}": value for name, value in thresholds.items()}
    values = zip(task.names, steered.values, strict=True)
    named |= {f"value_{name}": value for name, value in values}
    return table.assign(words=_words(steered), seconds=took, **named)


def resolved(
    policy: Steerable, task: TaskParams, given: Mapping[str, Threshold]
) -> dict[str, float]:
    """Thresholds by name: those given, else the task's; positions lie between what the policy's points are sure of.

    Raises:
        InputError: a threshold of no constrained objective.
    """
    names = [objective.name for objective in task.objectives[1:]]
    if unknown := sorted(set(given) - set(names)):
        raise InputError(
            f"steerable.thresholds names {unknown[0]!r}; constrained objectives are {', '.join(names)}"
        )
    bounds: Array = np.array([point.bounds for point in policy.points])
    found = {}
    for objective, low, high in zip(
        task.objectives[1:], bounds.min(axis=0), bounds.max(axis=0), strict=True
    ):
        threshold = given.get(objective.name, objective.threshold)
        if isinstance(threshold, Position):
            threshold = float(low + threshold.position * (high - low))
        found[objective.name] = float(low) if threshold is None else float(threshold)
    return found


def _words(steered: Steered) -> str:
    return "; ".join(f"{w} {s:.0%}" for w, s in zip(steered.words, steered.shares, strict=True))
