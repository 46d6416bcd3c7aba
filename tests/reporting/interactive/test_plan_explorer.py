"""What the plan explorer takes along: the plan's own problem, texts, and bounds as wide as all data make them."""

import json
import re
from base64 import b64decode
from typing import Any

import numpy as np
import pandas as pd
import pytest

from explored import NAMES, Tables, tables
from mopo_pipeline.errors import InputError
from mopo_pipeline.plan.thresholds import UnreachableThresholdsError
from mopo_pipeline.reporting import plan_explorer


def array(packed: dict[str, str]) -> np.ndarray[Any, Any]:
    return np.frombuffer(b64decode(packed["data"]), dtype=packed["kind"])


@pytest.fixture(scope="module")
def given() -> Tables:
    return tables([6] * 30)


def test_the_page_holds_its_data_and_loads_nothing(given: Tables) -> None:
    html = given.page([0.5, 0.5])
    assert len(html.encode()) < 3_000_000
    assert embedded(html)["problem"]["names"] == list(NAMES)
    head = html[: html.index("<script")]
    assert re.findall(r'(?:src|href)="([^"]*)"', head) == ["data:,"]


def embedded(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, flags=re.S)
    assert found is not None
    return dict(json.loads(found[1]))


def test_the_page_plans_with_the_environment_and_the_parameters_of_its_run(given: Tables) -> None:
    html = given.page([0.5, 0.5], command="kedro run --env=mine '--params=data_root=my runs'")
    asked = "plan.thresholds.harm=@0@,plan.thresholds.short=@1@"
    command = f"kedro run --env=mine --pipelines=plan '--params=data_root=my runs,{asked}'"
    assert embedded(html)["command"] == command


def test_rows_and_labels_travel_in_the_plan_s_order(given: Tables) -> None:
    problem = given.data([0.5, 0.5])["problem"]
    rows = given.win_rates
    assert array(problem["counts"]).tolist() == [6] * 30
    for name, column in zip(NAMES, problem["base"], strict=True):
        np.testing.assert_allclose(array(column), rows[name], atol=1e-7)
    term = problem["terms"][1]
    labelled = given.comparisons.loc[given.comparisons["harm"].notna()]
    assert array(term["first"]).tolist() == [int(name[1:]) for name in labelled["response_a"]]
    surprise = 0.5 * (labelled["harm"] - given.predictions.loc[labelled.index, "harm"])
    np.testing.assert_allclose(array(term["left"]), surprise, atol=1e-7)


def test_every_text_stands_with_its_row(given: Tables) -> None:
    shown = given.data([0.5, 0.5])["answers"]
    assert len(shown) == 30
    for entry in shown:
        assert entry["texts"] == [f"Answer r{row} & <so on>." for row in entry["rows"]]
        assert entry["prompt"] == f"Question {entry['rows'][0] // 6}?"


def test_prompts_out_of_order_are_sorted_and_keep_their_texts(given: Tables) -> None:
    mixed = given.win_rates.sample(frac=1.0, random_state=0)
    shown = Tables(given.responses, mixed, given.comparisons, given.predictions).data([0.5, 0.5])
    column = array(shown["problem"]["base"][0])
    for entry in shown["answers"]:
        rows = [int(text.split()[1][1:]) for text in entry["texts"]]
        np.testing.assert_allclose(
            column[entry["rows"]], given.win_rates["help"].iloc[rows], atol=1e-7
        )


def test_from_many_rows_whole_prompts_are_drawn_and_bounds_stay_as_wide_as_all_make_them(
    given: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = given.data([0.5, 0.5])
    monkeypatch.setattr(plan_explorer, "ROWS", 90)
    part = given.data([0.5, 0.5])
    assert part["prompts"] == {"all": 30, "solved": 15}
    assert part["problem"]["rows"] == 90
    assert array(part["problem"]["counts"]).tolist() == [6] * 15
    assert part["attainable"] == whole["attainable"]
    for few, all_of_them in zip(
        part["problem"]["terms"][1:], whole["problem"]["terms"][1:], strict=True
    ):
        shares = len(array(few["first"])) / len(array(all_of_them["first"]))
        assert few["radius"]["scale"] == pytest.approx(shares * all_of_them["radius"]["scale"])


def test_many_labels_alone_make_prompts_be_drawn(
    given: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_explorer, "COMPARISONS", 40)
    rows = given.win_rates
    assert plan_explorer.drawn_prompts(rows, 39) is rows
    assert plan_explorer.drawn_prompts(rows, 120)["prompt_id"].nunique() == 10


def test_long_texts_are_cut_where_they_are_shown(given: Tables) -> None:
    responses = given.responses.assign(response="word " * 500)
    shown = Tables(responses, given.win_rates, given.comparisons, given.predictions).data(
        [0.5, 0.5]
    )
    text = shown["answers"][0]["texts"][0]
    assert text.endswith("word …") and len(text) <= plan_explorer.LONGEST + 2


def test_it_opens_where_a_plan_stops() -> None:
    given = tables([6] * 12, objectives=2)
    with pytest.raises(UnreachableThresholdsError):
        given.plan([0.9])
    assert given.data([0.9])["thresholds"] == [0.9]


def test_one_objective_has_no_threshold_to_choose() -> None:
    data = tables([4] * 10, objectives=1).data([])
    assert data["thresholds"] == [] and data["margins"] == []


def test_without_training_responses_it_says_what_to_do(given: Tables) -> None:
    rows = given.win_rates.assign(split="test")
    with pytest.raises(InputError, match=r"raise ingest\.split\.train"):
        Tables(given.responses, rows, given.comparisons, given.predictions).data([0.5, 0.5])


def test_a_fixed_radius_and_no_labels_are_told_as_they_are(given: Tables) -> None:
    fixed = given.data([0.5, 0.5], epsilon=1e-3)["problem"]["terms"]
    assert [term["radius"] for term in fixed] == [{"fixed": 0.0}, {"fixed": 1e-3}, {"fixed": 1e-3}]
    bare: pd.DataFrame = given.predictions.assign(**dict.fromkeys(NAMES, np.nan))
    data = Tables(given.responses, given.win_rates, given.comparisons, bare).data([0.5, 0.5])
    assert data["problem"]["terms"] == [None] * 3
    assert data["confidence"] is None


def test_it_opens_at_what_the_plan_proposes_where_no_threshold_is_given(given: Tables) -> None:
    """A threshold of nothing would be solved as zero, shown in the middle of its slider, and stand in the command."""
    plan, _ = given.plan([None, 0.5])
    assert plan.thresholds["harm"] is not None
    assert given.data([None, 0.5])["thresholds"] == plan.of_constrained(plan.thresholds).tolist()


def test_labels_too_few_for_a_plan_are_too_few_to_explore(given: Tables) -> None:
    few = given.comparisons.copy()
    few.loc[few["prompt_id"] != "p0", "harm"] = np.nan
    scarce = Tables(given.responses, given.win_rates, few, given.predictions)
    for make in (scarce.plan, scarce.data):
        with pytest.raises(InputError, match="'harm' is labelled on 1 training prompts"):
            make([0.5, 0.5])
