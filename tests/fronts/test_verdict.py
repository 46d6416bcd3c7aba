"""Verdicts on fronts whose standing is known."""

import json

import numpy as np
import pandas as pd
import pytest

import mopo_pipeline.fronts.truth as fronts_truth
from mopo_pipeline.fronts.compared import Asked, compared
from mopo_pipeline.fronts.held import attained, violations
from mopo_pipeline.fronts.sets import fronts_of
from mopo_pipeline.fronts.truth import Truth, truth
from mopo_pipeline.fronts.verdict import front_report
from mopo_pipeline.mopo import solve_dual
from mopo_pipeline.parameters.front import FrontParams
from mopo_pipeline.pareto import hypervolume, non_dominated
from mopo_pipeline.pocket import task as pocket

NAMES = ("help", "harm")
ASKED = Asked(corner=0.2, level=0.95, draws=200, seed=0)
CURVE = {f"harm={b:.2f}": (0.9 - b, b) for b in (0.3, 0.4, 0.5)}


def front(
    method: str,
    points: dict[str, tuple[float, float]],
    *,
    seed: int = 0,
    noise: float = 0.0,
    kl: float = 1.0,
    shift: float = 0.0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Points with these values over 30 prompts that differ by ``noise``, the same for all methods of a seed."""
    common = np.random.default_rng(seed).normal(0.0, noise, (30, 2)) if noise else np.zeros((30, 2))
    rows, values = [], []
    for i, (point, value) in enumerate(points.items()):
        per_prompt = np.array(value) + shift + common
        mean = per_prompt.mean(axis=0)
        asked = float(point.removeprefix("harm=")) if point.startswith("harm=") else np.nan
        rows.append(
            {
                "method": method,
                "kind": "trained",
                "point": point,
                "seed": seed,
                "status": "done",
                "reason": "",
                "estimator": "exact",
                "threshold_harm": asked,
                "kl": kl * (i + 1),
                "certified": "certified" if i else "not certified",
                "sequences": 10,
                "generated_tokens": 0,
                "judge_calls": 0,
                "seconds": 1.0,
                **{
                    f"{part}_{n}": m
                    for n, m in zip(NAMES, mean, strict=True)
                    for part in ("value", "low", "high")
                },
            }
        )
        table = pd.DataFrame(per_prompt, columns=list(NAMES))
        values.append(
            table.assign(method=method, point=point, seed=seed, prompt_id=range(30), unit=range(30))
        )
    return pd.DataFrame(rows), pd.concat(values)


def joined(*parts: tuple[pd.DataFrame, pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame]:
    return tuple(pd.concat(list(tables), ignore_index=True) for tables in zip(*parts, strict=True))  # type: ignore[return-value]


def test_what_is_better_for_every_prompt_wins_surely_whatever_the_prompts_differ_by() -> None:
    ours = front("mopo", CURVE, noise=0.1, shift=0.02)
    found = front_report(*joined(ours, front("rival", CURVE, noise=0.1)), NAMES, ASKED, {})
    assert found["dominance"]["mopo"]["rival"] == 1.0
    assert found["dominance"]["rival"]["mopo"] == 0.0
    assert found["standing"] == {"rival": "win"}
    assert found["relations"]["mopo"]["rival"] == "better"
    assert {row["method"] for row in found["non_dominated"]} == {"mopo"}


def test_the_same_front_is_a_tie() -> None:
    tables = joined(front("mopo", CURVE, noise=0.1), front("rival", CURVE, noise=0.1))
    found = front_report(*tables, NAMES, ASKED, {})
    assert found["dominance"]["mopo"]["rival"] == 0.5
    assert found["standing"] == {"rival": "tie"}
    assert found["relations"]["mopo"]["rival"] == "equal"


def test_the_hypervolume_is_that_of_the_mean_points_and_lies_in_its_interval() -> None:
    found = front_report(*front("mopo", CURVE, noise=0.1), NAMES, ASKED, {})["methods"]["mopo"]
    means = front("mopo", CURVE, noise=0.1)[0][["value_help", "value_harm"]].to_numpy()
    assert found["hypervolume"] == pytest.approx(hypervolume(means, [0.2, 0.2]))
    assert found["hypervolume_low"] < found["hypervolume"] < found["hypervolume_high"]


def test_a_dominated_point_changes_no_verdict() -> None:
    rival = front("rival", CURVE, noise=0.1, shift=-0.01)
    alone = front_report(*joined(front("mopo", CURVE, noise=0.1), rival), NAMES, ASKED, {})
    more = front("mopo", CURVE | {"harm=0.25": (0.5, 0.25)}, noise=0.1)
    beside = front_report(*joined(more, rival), NAMES, ASKED, {})
    assert alone["dominance"] == beside["dominance"]
    kept = [m["methods"]["mopo"] for m in (alone, beside)]
    assert kept[0]["non_dominated"] == kept[1]["non_dominated"]
    assert kept[0]["hypervolume"] == kept[1]["hypervolume"]


def test_the_same_policy_under_two_methods_stands_under_both() -> None:
    """As the ends of rewarded soups and the experts they are, whichever stands first, up to how weights are added."""
    best = {"harm=0.50": (0.7, 0.7)}
    soup = front("soup", {"weights=0,1": (0.7 + 1e-9, 0.7 - 1e-9), "worse": (0.5, 0.5)})
    found = front_report(*joined(soup, front("mopo", best)), NAMES, ASKED, {})
    stands = [(row["method"], row["point"]) for row in found["non_dominated"]]
    assert stands == [("soup", "weights=0,1"), ("mopo", "harm=0.50")]
    twice = front("mopo", {"a": (0.7, 0.7), "b": (0.7, 0.7), "c": (0.6, 0.7)})
    assert front_report(*twice, NAMES, ASKED, {})["methods"]["mopo"]["non_dominated"] == ["a", "b"]


def test_a_method_whose_points_all_failed_is_named_with_their_number() -> None:
    points, values = joined(front("mopo", CURVE), front("rival", CURVE))
    lost = points["method"] == "rival"
    points.loc[lost, "status"] = ["failed", "failed", "skipped"]
    found = front_report(points, values.loc[values["method"] == "mopo"], NAMES, ASKED, {})
    assert "rival" not in found["methods"]
    assert found["without_points"] == {"rival": {"failed": 2, "skipped": 1}}


@pytest.mark.parametrize(("prompts", "told"), [(19, True), (20, False)])
def test_few_prompts_are_told(prompts: int, told: bool) -> None:
    points, values = front("mopo", CURVE)
    few = values.loc[values["prompt_id"] < prompts]
    names = [f["name"] for f in front_report(points, few, NAMES, ASKED, {})["findings"]]
    assert ("few test prompts" in names) == told


def test_corners_above_which_nobody_has_any_put_nobody_first() -> None:
    ours = front("mopo", {"harm=0.50": (0.35, 0.35)}, shift=0.01)
    tables = joined(front("rival", {"harm=0.50": (0.35, 0.35)}), ours)
    assert front_report(*tables, NAMES, ASKED, {})["sensitivity"]["first_stays"]


def test_seeds_that_disagree_are_drawn_again_and_leave_a_doubt() -> None:
    def seed(number: int, ahead: float) -> tuple[pd.DataFrame, pd.DataFrame]:
        return joined(
            front("mopo", CURVE, seed=number, shift=ahead), front("rival", CURVE, seed=number)
        )

    tables = joined(seed(0, 0.03), seed(1, 0.03), seed(2, -0.03))
    found = front_report(*tables, NAMES, ASKED, {})
    # wrong with two or three draws of the third seed in three: 3 (1/3)² 2/3 + (1/3)³
    assert found["dominance"]["mopo"]["rival"] == pytest.approx(1 - 7 / 27, abs=0.1)
    assert found["seeds"] == [0, 1, 2]
    assert "one seed" not in [f["name"] for f in found["findings"]]


def test_a_seed_at_which_ours_failed_does_not_count_for_ours() -> None:
    """The rival is ahead wherever both have points; where only it has some, its front is poor."""
    tables = joined(
        *(front("mopo", CURVE, seed=seed) for seed in (0, 1)),
        *(front("rival", CURVE, seed=seed, shift=0.02) for seed in (0, 1)),
        front("rival", CURVE, seed=2, shift=-0.08),
    )
    found = front_report(*tables, NAMES, ASKED, {})
    assert found["dominance"]["mopo"]["rival"] == 0.0
    assert found["standing"] == {"rival": "loss"}
    [told] = [f for f in found["findings"] if f["name"] == "seeds with points of mopo"]
    assert "none at 2: its hypervolume is the mean over its own seeds" in told["remedy"]


def test_one_seed_is_told() -> None:
    found = front_report(*front("mopo", CURVE), NAMES, ASKED, {})
    assert "one seed" in [f["name"] for f in found["findings"]]


def test_a_reference_point_inside_the_front_is_told() -> None:
    inside = Asked(corner=0.35, level=0.95, draws=10, seed=0)
    names = [f["name"] for f in front_report(*front("mopo", CURVE), NAMES, inside, {})["findings"]]
    assert "reference point inside the front of mopo" in names
    names = [f["name"] for f in front_report(*front("mopo", CURVE), NAMES, ASKED, {})["findings"]]
    assert "reference point inside the front of mopo" not in names


def test_other_reference_points_show_whether_the_order_stays() -> None:
    """A point good at one objective alone wins above a low reference point and loses above a high one."""
    sharp, even = front("mopo", {"harm=0.10": (0.95, 0.28)}), front("rival", {"w": (0.5, 0.45)})
    found = front_report(*joined(sharp, even), NAMES, ASKED, {})["sensitivity"]
    first = {row["reference"]: row["order"][0] for row in found["rows"]}
    assert (first[0.0], first[0.3]) == ("mopo", "rival")
    assert not found["first_stays"]


def test_points_that_noise_may_put_on_either_side_of_the_same_kl_are_counted() -> None:
    """The one that sets the common KL lies on it and is none of them."""
    points, values = joined(front("mopo", CURVE, kl=0.5), front("rival", CURVE, kl=0.4))
    apart = points.assign(kl_low=points["kl"] - 0.25, kl_high=points["kl"] + 0.25)
    found = front_report(apart, values, NAMES, ASKED, {})["matched_kl"]
    assert (found["budget"], found["within_noise"]) == (pytest.approx(1.2), 1)
    sure = front_report(points, values, NAMES, ASKED, {})["matched_kl"]
    assert sure["within_noise"] == 0


def test_at_the_same_kl_only_points_up_to_the_budget_count() -> None:
    """The rival's last point is beyond what ours ever left the reference by."""
    tables = joined(front("mopo", CURVE, kl=0.5), front("rival", CURVE, kl=1.0, shift=0.01))
    found = front_report(*tables, NAMES, ASKED, {})["matched_kl"]
    assert found["budget"] == pytest.approx(1.5)
    assert found["points"] == {"mopo": 3, "rival": 1}
    assert found["hypervolumes"]["rival"]["hypervolume"] == pytest.approx(
        (0.61 - 0.2) * (0.31 - 0.2)
    )
    assert found["standing"] == {"rival": "win"}
    near = front_report(*tables, NAMES, Asked(0.2, 0.95, 10, 0, kl_budget=0.1), {})["matched_kl"]
    assert near["points"] == {} and near["farther"] == {"mopo": 0.5, "rival": 1.0}


def test_a_rival_that_is_farther_than_the_same_kl_is_not_compared_by_one_point_of_its_own() -> None:
    """Once its nearest point stood for its whole front, beyond the KL that was named; ours meets it where both have been."""
    tables = joined(
        front("mopo", CURVE, kl=0.8, noise=0.1),
        front("near", CURVE, kl=0.2, shift=-0.1, noise=0.1),
        front("far", {"best": (0.5, 0.5), "next": (0.55, 0.45)}, kl=0.9, shift=0.2, noise=0.1),
    )
    points, values = tables
    points.loc[points["method"] == "far", "kl"] = 1.8
    found = front_report(points, values, NAMES, ASKED, {})["matched_kl"]
    assert found["budget"] == pytest.approx(0.6)
    assert found["farther"] == {"mopo": pytest.approx(0.8), "far": 1.8}
    assert set(found["hypervolumes"]) == set(found["points"]) == {"near"}
    assert found["pairs"]["far"] == {"budget": 1.8, "probability": 0.0}
    assert found["pairs"]["near"] == {"budget": pytest.approx(0.6), "probability": None}


def test_thresholds_missed_are_counted_beside_those_certified() -> None:
    points, _ = front("mopo", CURVE | {"harm=0.60": (0.3, 0.55)})
    found = violations(points, NAMES)
    assert found == {
        "violation_rate": 0.25,
        "certified_share": 0.75,
        "certified_violated": pytest.approx(1 / 3),
    }
    [row] = [r for r in attained(points, NAMES) if r["point"] == "harm=0.60"]
    assert (row["threshold"], row["value"]) == (0.6, pytest.approx(0.55))
    assert row["above"] == pytest.approx(-0.05)
    assert violations(front("rival", {"w": (0.5, 0.5)})[0], NAMES)["violation_rate"] is None


def test_failed_and_skipped_points_are_counted_and_the_first_reason_told() -> None:
    points, values = front("mopo", CURVE)
    lost = {"method": "mopo", "kind": "trained", "seed": 0, "certified": ""}
    points = pd.concat(
        [
            points,
            pd.DataFrame(
                [
                    lost
                    | {"point": "harm=0.70", "status": "failed", "reason": "the loss became nan"},
                    lost | {"point": "harm=0.90", "status": "skipped", "reason": "out of reach"},
                ]
            ),
        ],
        ignore_index=True,
    )
    found = front_report(points, values, NAMES, ASKED, {})
    ours = found["methods"]["mopo"]
    assert (ours["points"], ours["failed"], ours["skipped"]) == (3, 1, 1)
    [told] = [f for f in found["findings"] if f["name"] == "points of mopo failed"]
    assert told["remedy"] == "the first, harm=0.70: the loss became nan"


def test_a_rival_that_diverged_everywhere_is_reported_and_leaves_the_others_standing() -> None:
    ours = front("mopo", CURVE)
    gone = [
        {"method": "raco", "kind": "trained", "point": point, "seed": 0, "certified": ""}
        | {"status": "failed", "reason": f"the loss became nan at {point}"}
        for point in ("weights=1,0", "weights=0,1")
    ]
    points = pd.concat([ours[0], pd.DataFrame(gone)], ignore_index=True)
    found = front_report(points, ours[1], NAMES, ASKED, {})
    [told] = [f for f in found["findings"] if f["name"] == "points of raco failed"]
    assert (told["value"], told["severity"]) == (2.0, "warning")
    assert told["remedy"] == "the first, weights=1,0: the loss became nan at weights=1,0"
    alone = front_report(*ours, NAMES, ASKED, {})
    assert found["methods"]["mopo"] == alone["methods"]["mopo"]


def test_identical_points_count_once() -> None:
    ours, rival = front("mopo", CURVE), front("rival", {"w": (0.45, 0.45)})
    twice = front("mopo", CURVE | {"harm=0.401": CURVE["harm=0.40"]})
    once, doubled = (front_report(*joined(t, rival), NAMES, ASKED, {}) for t in (ours, twice))
    for key in ("hypervolume", "hypervolume_low", "hypervolume_high"):
        assert doubled["methods"]["mopo"][key] == pytest.approx(once["methods"]["mopo"][key])
    assert doubled["dominance"] == once["dominance"]


def test_the_report_is_json() -> None:
    known = {0: Truth(np.array([[0.6, 0.3], [0.4, 0.5]]), np.zeros((0, 2)))}
    tables = joined(front("mopo", CURVE), front("reference", {"reference": (0.5, 0.5)}, kl=0.0))
    found = front_report(*tables, NAMES, ASKED, known)
    assert json.loads(json.dumps(found, allow_nan=False))["methods"]["mopo"][
        "igd_plus"
    ] == pytest.approx(0.0)


def test_one_objective_leaves_a_report_without_standings() -> None:
    points, values = front("reference", {"reference": (0.5, 0.5)}, kl=0.0)
    found = front_report(points, values, ("help",), ASKED, {})
    assert found["standing"] == {}
    assert found["matched_kl"] == {"budget": None}
    assert found["thresholds"] == []
    assert json.dumps(found, allow_nan=False)


def test_means_over_prompts_drawn_again_are_common_to_all_methods() -> None:
    tables = joined(front("mopo", CURVE, noise=0.2, shift=1e-6), front("rival", CURVE, noise=0.2))
    fronts = fronts_of(*tables, NAMES)
    for drawn in fronts.replicates(5, np.random.default_rng(0)):
        np.testing.assert_allclose(drawn["mopo"][0] - drawn["rival"][0], 1e-6, atol=1e-12)
    assert compared(fronts, ASKED)["dominance"]["mopo"]["rival"] == 1.0


def test_prompts_of_one_group_are_drawn_again_as_one() -> None:
    """Ten prompts of one document outweigh twenty of two others by a little: three draws cannot tell."""
    lead = np.where(np.arange(30) < 10, 0.05, -0.01)[:, None]
    points, values = front("mopo", CURVE)
    values[list(NAMES)] += np.tile(lead, (len(CURVE), 1))
    told = {}
    for name, units in (("prompts", range(30)), ("groups", np.arange(30) // 10)):
        both = joined((points, values), front("rival", CURVE))
        both[1]["unit"] = np.tile(units, 2 * len(CURVE))
        told[name] = compared(fronts_of(*both, NAMES), ASKED)["dominance"]["mopo"]["rival"]
    assert told["prompts"] > 0.9
    assert told["groups"] == pytest.approx(1 - (2 / 3) ** 3, abs=0.1)


@pytest.mark.parametrize("names", [("helpfulness", "harmlessness"), pocket.OBJECTIVES])
def test_the_exact_front_is_what_exact_plans_attain(names: tuple[str, ...]) -> None:
    prompts = pocket.prompts()[::48]
    asked = np.full((1, len(names) - 1), 0.5)
    known = truth(prompts, names, np.vstack([asked, asked + 0.5]), tau=0.1, points=6)
    assert non_dominated(known.front).all()
    problem = pocket.exact_problem(prompts, names)
    table = np.asarray(problem.win_rates)
    where = {"reference": problem.reference, "groups": problem.groups, "tau": 0.1}
    for values in known.front[:: max(1, len(known.front) // 6)]:
        solved = solve_dual(table, values[1:] - 1e-9, **where)
        np.testing.assert_allclose(solved.values[0], values[0], atol=1e-4)
    assert known.at_thresholds.shape == (1, len(names))
    assert (known.at_thresholds[0, 1:] >= 0.5 - 1e-6).all()


@pytest.mark.parametrize(
    "names",
    [("helpfulness", "harmlessness"), pytest.param(pocket.OBJECTIVES, marks=pytest.mark.slow)],
)
def test_the_exact_front_is_so_dense_that_a_denser_one_has_hardly_more(
    names: tuple[str, ...],
) -> None:
    """What lies between its points would count as ours: a share of the exact front is a share of the dense one."""
    prompts, none = pocket.prompts()[::240], np.zeros((0, len(names) - 1))
    points = FrontParams(data_root=".").exact_points
    usual, denser = (
        hypervolume(truth(prompts, names, none, tau=0.1, points=n).front, np.full(len(names), 0.25))
        for n in (points, round(1.7 * points))
    )
    assert usual >= 0.99 * denser


def test_with_many_objectives_the_exact_front_is_still_a_matter_of_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    swept = []
    real = fronts_truth.closed_form
    monkeypatch.setattr(fronts_truth, "closed_form", lambda *a: swept.append(1) or real(*a))
    monkeypatch.setattr(fronts_truth, "MOST", 30)
    truth(pocket.prompts()[:1], pocket.OBJECTIVES, np.zeros((0, 2)), tau=0.1, points=101)
    assert len(swept) == 25
