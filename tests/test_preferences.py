"""Comparisons with K labels: margins, votes, missing labels, and what cannot be learnt from."""

import numpy as np
import pandas as pd
import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.preferences import LabelParams
from mopo_pipeline.preferences.build import build_comparisons
from mopo_pipeline.preferences.report import agreement_matrix, quality_report

RNG = np.random.default_rng


def rated(scores: list[tuple[float, float]], prompts: int = 2) -> pd.DataFrame:
    rows = [
        {
            "prompt_id": f"p{p}", "response_id": f"p{p}r{i}", "prompt": "x", "response": str(i),
            "split": "train", "score_good": good, "score_brief": brief,
        }
        for p in range(prompts)
        for i, (good, brief) in enumerate(scores)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def none() -> pd.DataFrame:
    return pd.DataFrame(columns=["prompt_id", "response_a", "response_b"])


def test_ratings_become_every_pair_with_a_margin() -> None:
    table = build_comparisons(
        rated([(1, 5), (3, 5.2), (2, 9)]), none(),
        LabelParams(tie_margin={"brief": 0.5}), ("good", "brief"), RNG(0),
    )  # fmt: skip
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
