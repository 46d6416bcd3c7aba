"""Prompts that come in groups are no independent draws: bounds, folds, intervals and certificates count groups."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluated import NAMES, PLAN, certificate, checked, estimate
from mopo_pipeline.errors import InputError
from mopo_pipeline.evaluation import values, within_prompts
from mopo_pipeline.evaluation.certificate import headline
from mopo_pipeline.mopo import Comparisons, judge_error
from mopo_pipeline.mopo.estimator import build_estimator
from mopo_pipeline.mopo.labelled import labelled_values
from mopo_pipeline.mopo.problem import DualProblem
from mopo_pipeline.mopo.rows import build_rows
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.parameters.preferences import PreferenceModelParams
from mopo_pipeline.plan.power import certificate_power
from mopo_pipeline.preferences.fit import cross_fit
from mopo_pipeline.sampling_units import drawn_as, sampling_units, units_of_test_split
from mopo_pipeline.training.problem_files import read_problem, write_problem
from pocket_world import OBJECTIVES, world

CLUSTERS, PROMPTS, PAIRS = 40, 8, 6


def table(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"prompt_id": list("aabbcc"), "split": "test"} | columns)


def test_groups_are_units_only_where_the_splits_keep_them_whole() -> None:
    whole = table(group=list("ggggkk"), split=["train"] * 4 + ["test"] * 2)
    assert sampling_units(whole).to_dict() == {"a": "group g", "b": "group g", "c": "group k"}
    crossing = whole.assign(split=["train"] * 2 + ["test"] * 4)
    assert sampling_units(crossing).to_dict() == {"a": "a", "b": "b", "c": "c"}
    assert sampling_units(table()).to_dict() == {"a": "a", "b": "b", "c": "c"}
    assert units_of_test_split(crossing, None) == 2
    assert units_of_test_split(whole.assign(split="test"), None) == 2
    assert units_of_test_split(whole.assign(split="test"), 1) == 1


def clustered(rng: np.random.Generator) -> tuple[np.ndarray, Comparisons, np.ndarray]:
    """Groups of prompts that agree on whether the first of two answers is the better one, by half on average."""
    wins = 0.5 + rng.choice([-0.4, 0.4], size=CLUSTERS).repeat(PROMPTS * PAIRS)
    first = np.arange(CLUSTERS * PROMPTS).repeat(PAIRS) * 2
    labels = np.column_stack([np.full(wins.size, np.nan), rng.random(wins.size) < wins])
    groups = np.arange(CLUSTERS * PROMPTS).repeat(2)
    given = Comparisons(
        first=first,
        second=first + 1,
        labels=labels,
        predicted=np.full(labels.shape, 0.5),
        clusters=groups // PROMPTS,
    )
    return groups, given, wins


def lower(groups: np.ndarray, given: Comparisons) -> float:
    """The bound at .9 of a policy that always gives the first answer, worth .5 over all groups."""
    rows = build_rows(np.tile([[1.0, 0.5], [0.0, 0.5]], (CLUSTERS * PROMPTS, 1)), groups=groups)
    estimator = build_estimator(rows, 0.05, True, comparisons=given, confidence=0.9)
    return estimator.at(np.array([1.0, 0.0])).bounds[0].value


@pytest.mark.slow
def test_a_bound_over_groups_of_prompts_is_missed_as_rarely_as_it_says() -> None:
    """Counting prompts in place of groups misses a third of the time where a tenth was promised."""
    missed = np.zeros((300, 2))
    for seed, row in enumerate(missed):
        groups, given, _ = clustered(np.random.default_rng(seed))
        row[:] = lower(groups, given) > 0.5, lower(groups, replace(given, clusters=None)) > 0.5
    grouped, alone = missed.mean(axis=0)
    assert grouped <= 0.1 + 2 * np.sqrt(0.09 / len(missed))
    assert alone > 0.25


def test_a_bound_knows_clusters_by_what_they_hold_not_by_name_or_order() -> None:
    groups, given, _ = clustered(np.random.default_rng(0))
    found, each = lower(groups, given), groups.astype(np.int64)
    assert lower(groups, replace(given, clusters=each)) == lower(
        groups, replace(given, clusters=None)
    )
    renamed = 1000 - np.asarray(given.clusters)
    assert lower(groups, replace(given, clusters=renamed)) == pytest.approx(found, abs=1e-12)


@pytest.mark.parametrize(
    ("clusters", "said"),
    [
        (np.zeros(3, dtype=int), "must be 640 integers"),
        (np.arange(640) / 2, "must be 640 integers"),
        (np.arange(640), "the rows of one prompt lie in two clusters"),
    ],
)
def test_clusters_that_cut_a_prompt_or_fit_no_row_are_refused(
    clusters: np.ndarray, said: str
) -> None:
    groups, given, _ = clustered(np.random.default_rng(0))
    with pytest.raises(InputError, match=said):
        lower(groups, replace(given, clusters=clusters))


def test_clusters_travel_with_the_problem_to_the_training_processes(tmp_path: Path) -> None:
    groups, given, _ = clustered(np.random.default_rng(0))
    nothing = np.zeros(1)
    problem = DualProblem(
        ("first", "second"), np.full((len(groups), 2), 0.5), groups, nothing, 0.1, 0.0, 0.0,
        "kl", given, nothing, nothing, nothing,
    )  # fmt: skip
    write_problem(problem, tmp_path)
    read = read_problem(tmp_path)
    assert read is not None
    part = read.restricted(groups >= 2 * PROMPTS)
    assert part.comparisons is not None
    np.testing.assert_array_equal(
        part.comparisons.clusters, np.asarray(given.clusters)[groups >= 2 * PROMPTS]
    )


def test_what_labels_say_of_a_policy_or_a_judge_is_as_sure_as_there_are_groups() -> None:
    groups, given, _ = clustered(np.random.default_rng(0))
    alone = replace(given, clusters=None)
    seen, wrong = (labelled_values(c, np.zeros(len(groups)), groups) for c in (given, alone))
    np.testing.assert_allclose(seen.values[1], wrong.values[1])
    assert (seen.prompts[1], wrong.prompts[1]) == pytest.approx((CLUSTERS, CLUSTERS * PROMPTS))
    ratio = np.tile([2.0, 0.0], CLUSTERS * PROMPTS)
    of_groups, of_prompts = (judge_error(c, ratio, groups, 0.95) for c in (given, alone))
    assert of_groups.bias[1] == pytest.approx(of_prompts.bias[1])
    assert of_groups.noise[1] > 2 * of_prompts.noise[1]


@pytest.mark.slow
def test_no_network_saw_a_label_of_the_group_it_is_asked_about() -> None:
    made = world(0)
    prompts = made.responses["prompt_id"].unique()
    group = dict(zip(prompts, np.arange(len(prompts)) // 4, strict=True))
    responses = made.responses.assign(split="train", group=made.responses["prompt_id"].map(group))
    fit = cross_fit(
        responses.astype({"group": str}),
        made.comparisons.assign(split="train"),
        OBJECTIVES,
        PreferenceModelParams(folds=3),
        0,
    )
    folds = pd.Series(fit.folds).groupby(responses["group"].to_numpy()).nunique()
    assert (folds == 1).all()
    alone = cross_fit(
        responses.drop(columns="group"),
        made.comparisons.assign(split="train"),
        OBJECTIVES,
        PreferenceModelParams(folds=3),
        0,
    )
    assert (pd.Series(alone.folds).groupby(responses["group"].to_numpy()).nunique() > 1).any()


def test_intervals_of_values_count_groups() -> None:
    made, params = world(0), EvaluateParams(bootstrap=200)
    prompts = made.responses["prompt_id"].unique()
    group = dict(zip(prompts, (np.arange(len(prompts)) // 4).astype(str), strict=True))
    grouped = made.responses.assign(group=made.responses["prompt_id"].map(group))
    for told in (
        lambda r: within_prompts.label_values(
            r, made.comparisons, made.logprobs, OBJECTIVES, params, 0
        ),
        lambda r: values.doubly_robust_values(
            r, made.comparisons, made.logprobs, None, OBJECTIVES, params, 0
        )[0],
    ):
        ours, alone = told(grouped), told(made.responses)
        np.testing.assert_allclose(ours["value"], alone["value"])
        assert set(ours["n"]) == {len(prompts) // 4}
        assert set(alone["n"]) == {len(prompts)}


def test_nine_groups_of_many_prompts_certify_nothing() -> None:
    """Eight phrasings of nine questions are nine questions."""
    high = checked(estimate("exact", [0.9] * 3, 0.002))
    found = certificate(high, prompts=72, units=9)
    assert found.verdict == "undecidable"
    assert found.reasons[0].startswith("9 groups of test prompts, 20 needed")
    many = certificate(high, prompts=240, units=40)
    assert many.verdict == "certified"
    assert "240 test prompts in 40 groups" in headline(many)
    assert any("mean over 40 groups of test prompts" in said for said in many.assumed)
    assert "groups" not in headline(certificate(high))


def test_the_width_foreseen_is_that_of_groups() -> None:
    rng = np.random.default_rng(0)
    units = np.arange(200).repeat(4)
    worth = rng.uniform(0.3, 0.7, size=200)[units].repeat(2)
    ids = [f"r{i}" for i in range(1600)]
    prompts = np.arange(800).repeat(2)
    rates = pd.DataFrame({"response_id": ids} | dict.fromkeys(NAMES, worth))
    rows = pd.DataFrame(
        {"prompt_id": prompts, "response_id": ids, "unit": units.repeat(2), "ratio": np.ones(1600)}
    )
    told = certificate_power(
        rates, rows, PLAN, prompts=50, answers=None, confidence=0.95,
        drawn=drawn_as(200, 50),
    )  # fmt: skip
    spread = worth[::8].std(ddof=1)
    width = told["outlook"][0]["half_width"]
    assert width == pytest.approx(spread / np.sqrt(50) * 2.0, rel=0.35)
    assert "50 groups of test prompts" in told["findings"][0]["remedy"]
