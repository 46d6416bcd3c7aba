"""Intervals from the labels of a few people who differ in taste."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from mopo_pipeline.evaluation import values, within_prompts
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.pareto.bounds import bounds
from mopo_pipeline.tables import weight_columns

PEOPLE, PROMPTS, SETS = 8, 240, 120
PARAMS = EvaluateParams(bootstrap=100)
FAVOUR = 2.0
"""How much likelier, in nats, the policy makes the answer of the second kind."""
TASTES = np.random.default_rng(0).normal(0.5, 1.0, 100_000)
LEVEL = 0.975


def truth() -> float:
    """What the policy is worth to people at large."""
    liked, shown = float(expit(TASTES).mean()), float(expit(FAVOUR))
    return shown * liked + (1.0 - shown) * (1.0 - liked)


def annotated(seed: int, *, people: int = PEOPLE) -> tuple[pd.DataFrame, ...]:
    """A pair to each prompt, labelled by one of a few people; the second answer is what tastes differ on."""
    rng = np.random.default_rng(seed)
    who = rng.integers(0, people, PROMPTS)
    taste = rng.choice(TASTES, people)[who]
    ids = [f"{i}{side}" for i in range(PROMPTS) for side in "ab"]
    responses = pd.DataFrame(
        {
            "response_id": ids,
            "prompt_id": np.repeat([f"p{i}" for i in range(PROMPTS)], 2),
            "split": "test",
        }
    )
    comparisons = pd.DataFrame(
        {
            "prompt_id": responses["prompt_id"][::2].to_numpy(),
            "response_a": ids[1::2],
            "response_b": ids[::2],
            "split": "test",
            "good": (rng.random(PROMPTS) < expit(taste)).astype(float),
            weight_columns(["good"])[0]: 1.0,
            "annotator": [f"person {i}" for i in who],
        }
    )
    logprobs = pd.DataFrame(
        {
            "response_id": ids,
            "logprob_policy": np.tile([0.0, FAVOUR], PROMPTS),
            "logprob_reference": 0.0,
        }
    )
    return responses, comparisons, logprobs


def found(seed: int, *, named: bool) -> pd.Series:
    responses, comparisons, logprobs = annotated(seed)
    if not named:
        comparisons = comparisons.assign(annotator="")
    row = within_prompts.label_values(responses, comparisons, logprobs, ("good",), PARAMS, seed)
    return row.iloc[0]


def missed(named: bool) -> tuple[float, float]:
    """How often the interval misses what people at large say, and how often a one-sided bound does."""
    right = truth()
    each = [found(seed, named=named) for seed in range(SETS)]
    beyond = [not row["ci_low"] <= right <= row["ci_high"] for row in each]
    above = [bounds(row["value"], row["se"], row["n"], LEVEL)[0] > right for row in each]
    return float(np.mean(beyond)), float(np.mean(above))


@pytest.mark.slow
def test_intervals_of_labels_count_people_and_not_their_labels_alone() -> None:
    """Promised are .05 and .025; with eight people a third of the misses without names is what is left, not yet those."""
    interval, bound = missed(named=False)
    assert interval > 0.25
    assert bound > 0.12
    with_people = missed(named=True)
    assert with_people[0] < interval / 3
    assert with_people[1] < bound / 3


def test_an_estimate_is_the_same_whoever_labelled() -> None:
    named, nameless = found(0, named=True), found(0, named=False)
    assert named["value"] == nameless["value"]
    assert named["n"] == nameless["n"]
    assert named["se"] > nameless["se"]


def test_the_doubly_robust_estimate_counts_people_too() -> None:
    responses, comparisons, logprobs = annotated(0)
    errors = []
    for table in (comparisons, comparisons.assign(annotator="")):
        rows, _ = values.doubly_robust_values(
            responses, table, logprobs, None, ("good",), PARAMS, 0
        )
        errors.append(float(rows["se"].iloc[0]))
    assert errors[0] > 1.5 * errors[1]


def test_a_single_person_and_people_of_one_label_each_change_nothing() -> None:
    responses, comparisons, logprobs = annotated(1)
    rows = [
        within_prompts.label_values(responses, table, logprobs, ("good",), PARAMS, 0)
        for table in (
            comparisons.assign(annotator=""),
            comparisons.assign(annotator="one"),
            comparisons.assign(annotator=[f"person {i}" for i in range(PROMPTS)]),
        )
    ]
    for other in rows[1:]:
        pd.testing.assert_frame_equal(other, rows[0])
