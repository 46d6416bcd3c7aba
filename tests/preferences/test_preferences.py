"""Comparisons with K labels: margins, votes, missing labels, and what cannot be learnt from."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logit

from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.preferences import LabelParams, PreferenceModelParams, WinRateParams
from mopo_pipeline.preferences.build import build_comparisons, compare, merge_votes
from mopo_pipeline.preferences.calibration import fit_temperature
from mopo_pipeline.preferences.estimate import label_win_rates
from mopo_pipeline.preferences.fit import cross_fit
from mopo_pipeline.preferences.networks import fit_network, linear_networks, rewards_of
from mopo_pipeline.preferences.report import agreement_matrix, quality_report
from mopo_pipeline.tables import chat_prompt, comparison_weights

RNG = np.random.default_rng


def rated(scores: list[tuple[float, float]], prompts: int = 2) -> pd.DataFrame:
    rows = [
        {
            "prompt_id": f"p{p}",
            "response_id": f"p{p}r{i}",
            "prompt": "x",
            "response": str(i),
            "split": "train",
            "score_good": good,
            "score_brief": brief,
        }
        for p in range(prompts)
        for i, (good, brief) in enumerate(scores)
    ]
    return pd.DataFrame(rows)


def none() -> pd.DataFrame:
    return pd.DataFrame(columns=["prompt_id", "response_a", "response_b"])


def test_ratings_become_every_pair_with_a_margin() -> None:
    table = build_comparisons(
        rated([(1, 5), (3, 5.2), (2, 9)]),
        none(),
        LabelParams(tie_margin={"brief": 0.5}),
        ("good", "brief"),
        RNG(0),
    )
    assert len(table) == 6
    first = table[table["prompt_id"] == "p0"].set_index(["response_a", "response_b"])
    assert first.loc[("p0r0", "p0r1"), "good"] == 0.0
    assert first.loc[("p0r1", "p0r2"), "good"] == 1.0
    assert first.loc[("p0r0", "p0r1"), "brief"] == 0.5
    assert first.loc[("p0r0", "p0r2"), "brief"] == 0.0


def test_prompts_with_one_response_make_no_pair() -> None:
    responses = rated([(1, 2), (2, 1)])
    lonely = responses.iloc[[0]].assign(prompt_id="alone", response_id="z")
    table = build_comparisons(
        pd.concat([responses, lonely]), none(), LabelParams(), ("good", "brief"), RNG(0)
    )
    assert "alone" not in set(table["prompt_id"])
    with pytest.raises(InputError, match="no prompt has two responses"):
        build_comparisons(lonely, none(), LabelParams(), ("good", "brief"), RNG(0))


def test_all_ties_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="objective 'brief': all 2 training comparisons are ties"):
        build_comparisons(rated([(1, 4), (2, 4)]), none(), LabelParams(), ("good", "brief"), RNG(0))
    kept = build_comparisons(rated([(1, 4), (2, 4)]), none(), LabelParams(), ("good",), RNG(0))
    assert list(kept["good"]) == [0.0, 0.0]


def test_an_objective_without_ratings_is_named() -> None:
    with pytest.raises(InputError, match="no ratings for 'kind'"):
        build_comparisons(rated([(1, 4), (2, 4)]), none(), LabelParams(), ("kind",), RNG(0))


def votes() -> pd.DataFrame:
    """Three annotators on one pair, one of them with the sides swapped and one label missing."""
    return pd.DataFrame(
        {
            "prompt_id": "p0",
            "response_a": ["p0r0", "p0r0", "p0r1"],
            "response_b": ["p0r1", "p0r1", "p0r0"],
            "good": [1.0, 0.0, 0.0],
            "brief": [np.nan, 1.0, 0.0],
            "annotator": ["x", "y", "z"],
            "weight": 1.0,
        }
    )


@pytest.mark.parametrize(("how", "good"), [("mean", 2 / 3), ("majority", 1.0)])
def test_votes_are_merged_whatever_side_they_saw(how: str, good: float) -> None:
    responses = rated([(1, 2), (2, 1)], prompts=1)
    table = build_comparisons(responses, votes(), LabelParams(votes=how), ("good", "brief"), RNG(0))
    assert len(table) == 1
    row = table.iloc[0]
    assert (row["good"] if row["response_a"] == "p0r0" else 1 - row["good"]) == pytest.approx(good)
    assert (row["brief"] if row["response_a"] == "p0r0" else 1 - row["brief"]) == 1.0


def test_agreement_of_an_objective_with_itself_and_its_reverse() -> None:
    labels = np.array([1.0, 0.0, 1.0, 0.0, np.nan])
    table = pd.DataFrame({"split": "train", "up": labels, "same": labels, "down": 1 - labels})
    matrix = agreement_matrix(table, ("up", "same", "down"))
    values = matrix[["up", "same", "down"]].to_numpy()
    assert values[0, 1] == pytest.approx(1.0)
    assert values[0, 2] == pytest.approx(-1.0)
    np.testing.assert_allclose(values, values.T)


def test_quality_report_counts_comparisons_and_asks_judgements_for_position() -> None:
    """One pair from three votes: two say 1 for the side shown first, or 0, as they saw it."""
    responses = rated([(1, 2), (2, 1)], prompts=1)
    judgements = votes()
    table = build_comparisons(responses, judgements, LabelParams(), ("good", "brief"), RNG(0))
    report = quality_report(judgements, table, ("good", "brief"))
    assert report["comparisons"] == 1
    assert report["prompts"] == 1
    assert {n: q["labelled"] for n, q in report["objectives"].items()} == {"good": 1, "brief": 1}
    first = {n: q["position_bias"]["first_wins"] for n, q in report["objectives"].items()}
    assert first == {"good": pytest.approx(1 / 3), "brief": pytest.approx(1 / 2)}


def test_quality_report_says_how_far_votes_on_one_pair_agree_or_that_ratings_are_single() -> None:
    """Votes on one pair: good 1, 0, and 1 as mirrored 0; brief once 1 and once mirrored 0. One more pair, one vote."""
    once = pd.DataFrame(
        {
            "prompt_id": "p1",
            "response_a": ["p1r0"],
            "response_b": ["p1r1"],
            "good": 1.0,
            "brief": 0.0,
        }
    )
    judgements = pd.concat([votes(), once])
    responses = rated([(1, 2), (2, 1)])
    table = build_comparisons(
        responses, judgements.assign(weight=1.0), LabelParams(), ("good", "brief"), RNG(0)
    )
    found = quality_report(judgements, table, ("good", "brief"))
    agree = {n: q["repeated_votes"] for n, q in found["objectives"].items()}
    assert agree["good"] == {"pairs": 1, "agreement": pytest.approx(1 / 3), "alpha": 0.0}
    assert agree["brief"] == {"pairs": 1, "agreement": 1.0, "alpha": None}
    assert found["assumed"] is None
    rating = quality_report(none(), table, ("good", "brief"))
    assert rating["objectives"]["good"]["repeated_votes"] is None
    assert "one rating" in rating["assumed"]


def test_quality_report_counts_ties_missing_labels_and_cycles() -> None:
    """a beats b, b beats c, c beats a; brief ties once and misses once."""
    table = pd.DataFrame(
        {
            "prompt_id": "p",
            "response_a": ["a", "b", "c"],
            "response_b": ["b", "c", "a"],
            "good": 1.0,
            "brief": [0.5, np.nan, 1.0],
        }
    )
    found = quality_report(none(), table, ("good", "brief"))["objectives"]
    assert found["good"]["cycles"] == {"triples": 1, "intransitive": 1}
    assert found["good"]["position_bias"] is None
    assert (found["brief"]["ties"], found["brief"]["missing"]) == (1, 1)
    assert found["brief"]["tie_share"] == 0.5


def many_votes(n: int) -> pd.DataFrame:
    """``n`` votes on one objective of one pair, and a single one on the other."""
    return pd.DataFrame(
        {
            "prompt_id": "p0",
            "response_a": "p0r0",
            "response_b": "p0r1",
            "good": [1.0] * n + [np.nan],
            "brief": [np.nan] * n + [0.0],
            "weight": 1.0,
        }
    )


@pytest.mark.parametrize("how", ["mean", "majority"])
@pytest.mark.parametrize("n", [1, 10])
def test_votes_on_one_objective_give_the_other_no_weight(how: str, n: int) -> None:
    responses = rated([(1, 2), (2, 1)], prompts=1)
    names = ("good", "brief")
    table = build_comparisons(responses, many_votes(n), LabelParams(votes=how), names, RNG(0))
    np.testing.assert_array_equal(comparison_weights(table, names), [[n, 1.0]])
    assert "weight" not in table


def test_a_missing_label_and_a_vote_of_weight_zero_weigh_nothing() -> None:
    judgements = votes().assign(weight=[2.0, 0.0, 3.0])
    responses, names = rated([(1, 2), (2, 1)], prompts=1), ("good", "brief")
    table = build_comparisons(responses, judgements, LabelParams(), names, RNG(0))
    np.testing.assert_array_equal(comparison_weights(table, names), [[5.0, 3.0]])
    assert table.loc[0, "good"] == 1.0
    assert table.loc[0, "brief"] == 1.0
    silent = judgements.assign(weight=[2.0, 0.0, 0.0])
    table = build_comparisons(responses, silent, LabelParams(), ("good",), RNG(0))
    np.testing.assert_array_equal(comparison_weights(table, ("good",)), [[2.0]])


def test_ratings_weigh_one_where_both_are_given_and_nothing_else() -> None:
    responses = rated([(1, 5), (np.nan, 3), (2, np.nan), (np.nan, np.nan)], prompts=1)
    names = ("good", "brief")
    table = build_comparisons(responses, none(), LabelParams(), names, RNG(0))
    pairs = list(zip(table["response_a"], table["response_b"], strict=True))
    assert pairs == [("p0r0", "p0r1"), ("p0r0", "p0r2")]
    np.testing.assert_array_equal(table[list(names)], [[np.nan, 1.0], [0.0, np.nan]])
    np.testing.assert_array_equal(comparison_weights(table, names), [[0.0, 1.0], [1.0, 0.0]])


@given(
    st.integers(-10_000, 10_000),
    st.integers(-500, 500),
    st.integers(0, 500),
    st.sampled_from([1, 10, 100, 1000, 10_000]),
)
def test_ratings_tie_as_their_decimals_do(first: int, gap: int, margin: int, scale: int) -> None:
    label = compare(np.array([(first + gap) / scale]), np.array([first / scale]), margin / scale)
    assert label[0] == (0.5 if abs(gap) <= margin else float(gap > 0))


def test_a_gap_of_the_margin_ties_wherever_on_the_scale_it_lies() -> None:
    tenths = np.arange(10, 50)
    one, next_to_it, beyond = ((tenths + step) / 10 for step in (0, 1, 2))
    assert set(compare(one, next_to_it, 0.1)) == {0.5}
    assert set(compare(next_to_it, one, 0.1)) == {0.5}
    assert set(compare(one, beyond, 0.1)) == {0.0}


def test_a_margin_for_no_objective_is_refused() -> None:
    with pytest.raises(InputError, match=r"tie_margin names \['breif'\]"):
        build_comparisons(
            rated([(1, 4), (2, 3)]),
            none(),
            LabelParams(tie_margin={"breif": 1}),
            ("good", "brief"),
            RNG(0),
        )


def fitted(weights: np.ndarray, labels: np.ndarray, hidden: int) -> np.ndarray:
    """Rewards of two responses after a fit to comparisons of them."""
    table = np.eye(2, dtype=np.float32)
    pairs = np.tile(np.array([0, 1], dtype=np.intp), (len(labels), 1))
    if hidden == 0:
        twice = np.tile(pairs, (2, 1)), np.tile(labels, (2, 1)), np.tile(weights, (2, 1))
        network, _ = linear_networks(table, *twice, np.repeat([0, 1], len(labels)))
        return rewards_of(network, table)
    params = PreferenceModelParams(hidden=hidden, epochs=40, weight_decay=0.0, learning_rate=0.05)
    none = np.zeros(len(labels), dtype=bool)
    return rewards_of(fit_network(table, pairs, labels, weights, none, params, 0), table)


@pytest.mark.parametrize("hidden", [0, 4])
def test_the_model_weighs_each_objective_by_its_own_weights(hidden: int) -> None:
    labels = np.array([[1.0, 1.0], [0.0, 0.0]])
    rewards = fitted(np.array([[9.0, 1.0], [1.0, 9.0]]), labels, hidden)
    gap = rewards[0] - rewards[1]
    assert gap[0] > 0.5
    assert gap[1] < -0.5


def test_win_rates_of_labels_weigh_each_objective_by_its_own_weights() -> None:
    responses = rated([(1, 2), (2, 1), (3, 3)], prompts=1)
    comparisons = pd.DataFrame(
        {
            "response_a": ["p0r0", "p0r0"],
            "response_b": ["p0r1", "p0r2"],
            "good": [1.0, 0.0],
            "brief": [1.0, 0.0],
            "good_weight": [3.0, 1.0],
            "brief_weight": [1.0, 3.0],
        }
    )
    params = WinRateParams(method="empirical", shrinkage=0.0)
    values, _ = label_win_rates(responses, comparisons, params, ("good", "brief"))
    np.testing.assert_allclose(values[0], [0.75, 0.25])


def test_the_temperature_of_an_objective_is_calibrated_by_its_own_weights() -> None:
    responses = rated([(1, 5), (3, 2), (2, 9), (5, 1)], prompts=8)
    names, rng = ("good", "brief"), RNG(0)
    table = build_comparisons(responses, none(), LabelParams(), names, rng)
    table[list(names)] = rng.integers(2, size=(len(table), 2)).astype(float)
    table[["good_weight", "brief_weight"]] = rng.exponential(size=(len(table), 2)) ** 3
    params = PreferenceModelParams(hidden=0, folds=2, epochs=5)
    responses["prompt"] = chat_prompt("x")
    fit = cross_fit(responses, table, names, params, 0)
    gaps = logit(fit.predictions) / fit.model.temperature
    weights = comparison_weights(table, names)
    for k, name in enumerate(names):
        expected = fit_temperature(gaps[:, k], table[name].to_numpy(), weights[:, k])
        assert fit.model.temperature[k] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("made", ["good_se", "good_weight"])
def test_objectives_named_like_a_column_made_for_another_are_refused(made: str) -> None:
    def named(*names: str) -> Any:
        constrained = [{"name": name, "threshold": 0.5} for name in names[1:]]
        return TaskParams.model_validate({"objectives": [{"name": names[0]}, *constrained]})

    assert named("quality", made).names == ("quality", made)
    with pytest.raises(ValueError, match=f"'{made}' has the name of a column made for 'good'"):
        named("good", made)
    for reserved in ("group", "objective"):
        with pytest.raises(ValueError, match="the tables use it as a column"):
            named("good", reserved)


@pytest.mark.parametrize(
    ("who", "kept"), [(("x", "x"), "x"), (("x", "y"), ""), (("", ""), ""), (("x", ""), "")]
)
def test_a_comparison_keeps_the_annotator_who_alone_labelled_it(
    who: tuple[str, str], kept: str
) -> None:
    votes = pd.DataFrame(
        {
            "prompt_id": "p",
            "response_a": ["r", "s"],
            "response_b": ["s", "r"],
            "good": 1.0,
            "weight": 1.0,
            "annotator": who,
        }
    )
    assert merge_votes(votes, ("good",), "mean")["annotator"].tolist() == [kept]
