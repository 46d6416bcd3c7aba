"""A plan speaks of prompts, each as one, as its certificate does: not of their answers, of which some have many."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from explored import Tables, tables
from mopo_pipeline.mopo.schedule.lag import refresh
from mopo_pipeline.parameters.lag import NoLag
from mopo_pipeline.plan.problem import dual_problem
from mopo_pipeline.training.assemble import initial_state

THRESHOLDS = (0.52, 0.5)


def said_twice(given: Tables, prompts: int) -> Tables:
    """The first prompts with every answer and every label of theirs a second time."""

    def again(table: pd.DataFrame, ids: list[str]) -> pd.DataFrame:
        own = table.loc[table["prompt_id"].isin([f"p{i}" for i in range(prompts)])]
        copy = own.assign(**{name: "again " + own[name] for name in ids})
        return pd.concat([table, copy]).reset_index(drop=True)

    sides = ["response_a", "response_b"]
    pairs = given.comparisons.assign(**given.predictions.add_prefix("predicted "))
    pairs = again(pairs, sides)
    predictions = pairs.filter(like="predicted ").rename(
        columns=lambda n: n.removeprefix("predicted ")
    )
    return Tables(
        again(given.responses, ["response_id"]),
        again(given.win_rates, ["response_id"]),
        pairs[given.comparisons.columns],
        predictions,
    )


@pytest.fixture(scope="module")
def even() -> Tables:
    return tables([6] * 60)


def test_a_prompt_counts_no_more_for_having_its_answers_twice(even: Tables) -> None:
    uneven = said_twice(even, 20)
    once, twice = (
        t.plan(THRESHOLDS, normalisation="per_prompt", confidence=0.5)[0] for t in (even, uneven)
    )
    for name in ("help", "harm", "short"):
        assert twice.values[name] == pytest.approx(once.values[name], abs=1e-5)
        assert twice.attainable[name] == pytest.approx(once.attainable[name], abs=1e-5)
    assert twice.multipliers["harm"] == pytest.approx(once.multipliers["harm"], rel=1e-3)


def test_a_reference_that_stays_is_planned_on_as_before_however_uneven_prompts_are(
    even: Tables,
) -> None:
    uneven = said_twice(even, 20)
    plan, weights = uneven.plan(THRESHOLDS)
    problem = dual_problem(weights, uneven.win_rates, uneven.comparisons, uneven.predictions, plan)
    state = initial_state(weights.assign(reference_logprob=-1.0), problem, NoLag())
    limits = {"max_ratio": 20.0, "beta": None, "min_ess": 0.1, "max_multiplier": 100.0}
    here = np.full(len(weights), -1.0)
    moved = refresh(state, replace(problem), here, state.active, **limits)
    np.testing.assert_allclose(moved.multipliers, list(plan.multipliers.values()), rtol=1e-3)
