"""The page of a front holds every policy, loads nothing, and says what is missing."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest

from front_artifacts import NAMES, front, ours, policy, report, samples
from mopo_pipeline.errors import InputError
from mopo_pipeline.reporting.front_page import export_command, page_data, write_front_page


class Parsed(HTMLParser):
    """What a browser would find: attributes by tag, texts of scripts, visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data


def page_of(points: pd.DataFrame) -> Parsed:
    return Parsed(write_front_page(points, samples(points), report()))


def data_of(points: pd.DataFrame, **changes: Any) -> dict[str, Any]:
    return page_data(points, samples(points), report() | changes)


def test_every_policy_is_on_the_page_with_what_was_asked_attained_and_paid() -> None:
    points = front()
    html = write_front_page(points, samples(points), report())
    shown = json.loads(Parsed(html).scripts[0])["points"]
    assert [(p["method"], p["point"]) for p in shown] == list(
        zip(points["method"], points["point"], strict=True)
    )
    first = shown[0]
    assert first["threshold"] == {"helpfulness": None, "harmlessness": 0.45, "conciseness": 0.4}
    assert first["value"]["harmlessness"] == pytest.approx(0.46)
    assert (first["low"]["harmlessness"], first["high"]["harmlessness"]) == pytest.approx(
        (0.44, 0.48)
    )
    assert (first["kl_low"], first["kl_high"]) == pytest.approx(
        (first["kl"] - 0.03, first["kl"] + 0.03)
    )
    assert first["multiplier"]["conciseness"] == 0.5
    assert first["price"]["conciseness"] == -0.5
    assert first["planned"]["helpfulness"] == pytest.approx(first["value"]["helpfulness"] + 0.02)
    assert first["certified"] == "certified"
    assert first["costs"]["seconds"] == 61.5
    assert first["hyperparameters"] == {"steps": 400}
    assert first["samples"][0]["prompt"] == "How do I clear a blocked drain?"
    assert first["samples"][0]["reference"] == "The reference says little."
    assert first["command"] == "kedro run --config=data/front/0.45_0.40/run.yml --pipelines=export"


def test_the_page_loads_nothing_and_stays_below_three_megabytes() -> None:
    points = front()
    html = write_front_page(points, samples(points), report())
    assert len(html.encode()) < 3_000_000
    loads = {
        value
        for _, attributes in Parsed(html).found
        for name, value in attributes.items()
        if name in {"src", "href", "srcset", "data", "action"}
    }
    assert loads == {"data:,"}
    style = re.search(r"<style>(.*?)</style>", html, flags=re.S)
    assert style is not None
    assert not re.findall(r"url\(|@import", style[1])


def test_no_answer_can_break_out_of_the_data() -> None:
    points = front()
    page = page_of(points)
    answers = {s["response"] for p in json.loads(page.scripts[0])["points"] for s in p["samples"]}
    assert any(answer.endswith("</script><b>loose</b>") for answer in answers)
    assert "loose" not in page.text.split()
    assert not [tag for tag, _ in page.found if tag == "b"]


def test_of_one_method_only_what_no_other_policy_beats_is_best() -> None:
    points = pd.DataFrame(
        [
            policy("mopo", "a", [0.6, 0.5, 0.5]),
            policy("mopo", "beaten", [0.6, 0.5, 0.4]),
            policy("mopo", "another seed", [0.6, 0.5, 0.4], seed=1),
            policy("mod", "of another method", [0.5, 0.4, 0.3], kind="decode_time"),
        ]
    )
    assert [p["best"] for p in data_of(points)["points"]] == [True, False, True, True]


def test_points_without_a_policy_keep_their_reason_and_are_never_best() -> None:
    data = data_of(front())
    skipped, failed = (p for p in data["points"] if p["status"] != "done")
    assert skipped["reason"] == "not jointly attainable: the nearest is .64, .66"
    assert failed["reason"] == "loss was NaN at step 40"
    assert not skipped["best"] and not failed["best"]
    assert skipped["command"] is None and skipped["value"] == dict.fromkeys(NAMES)
    assert data["notes"][0].startswith("2 points have no policy")
    assert data["lead"].startswith("19 policies of 6 methods over 1 seed.")


def test_methods_stay_apart_by_colour_and_by_symbol() -> None:
    names = ["mopo", "reference", *(f"rival_{i}" for i in range(9))]
    points = pd.DataFrame([policy(name, "x", [0.5, 0.5, 0.5]) for name in names])
    methods = data_of(points)["methods"]
    assert [m["name"] for m in methods] == names
    assert len({m["symbol"] for m in methods}) == len(names)
    assert len({m["colour"] for m in methods[:7]}) == 7


def test_a_method_of_two_kinds_is_refused() -> None:
    points = pd.DataFrame(
        [policy("mod", "a", [0.5] * 3), policy("mod", "b", [0.5] * 3, kind="decode_time")]
    )
    with pytest.raises(
        InputError, match=r"method 'mod' mixes the kinds \['decode_time', 'trained'\]"
    ):
        data_of(points)
    lost = points.assign(status=["failed", "done"], seed=[1, 0])
    assert [m["kind"] for m in data_of(lost)["methods"]] == ["decode time"]


def test_a_policy_is_exported_by_the_parameters_of_its_own_run() -> None:
    assert (
        export_command("a b/x=1,y=2")
        == "kedro run --config='a b/x=1,y=2/run.yml' --pipelines=export"
    )
    points = pd.DataFrame([ours(0.5, 0.4, 0.6, folder=""), ours(0.5, 0.4, 0.6, folder=None)])
    assert [point["command"] for point in data_of(points)["points"]] == [None, None]


def test_one_objective_is_said_to_have_no_front() -> None:
    points = pd.DataFrame([policy("mopo", "", [0.6])])
    data = page_data(points, samples(points), {"objectives": ["helpfulness"]})
    assert data["notes"] == ["One objective alone has no front: the policies differ on one axis."]


def test_findings_of_the_report_stand_above_the_charts() -> None:
    finding = {
        "name": "one seed",
        "value": 1,
        "limit": 3,
        "severity": "warning",
        "remedy": "set front.seeds",
    }
    told = data_of(front(), findings=[finding, finding | {"severity": "info"}])["notes"]
    assert told[1:] == ["one seed: set front.seeds"]


def test_methods_are_compared_by_hypervolume_as_far_as_the_report_goes() -> None:
    ours, rival = data_of(front())["compared"]
    assert (ours["name"], ours["hypervolume"], ours["share_of_exact"]) == ("mopo", 0.24, 0.97)
    assert (rival["name"], rival["ours_above"], rival["share_of_exact"]) == (
        "scalarised_dpo",
        0.98,
        None,
    )
    assert data_of(front(), methods=None, dominance=None)["compared"] == []


def test_a_missing_column_is_named() -> None:
    points = front().drop(columns="value_conciseness")
    with pytest.raises(InputError, match="front_points has no column 'value_conciseness'"):
        data_of(points)
