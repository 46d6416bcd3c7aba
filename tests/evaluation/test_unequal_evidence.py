"""What a certificate rests on where prompts, groups or people count for very unequal parts, or are very few."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, stdtrit

from evaluated import certificate, checked, estimate
from mopo_pipeline.evaluation import values, within_prompts
from mopo_pipeline.evaluation.label_bias import MIN_CARRIED
from mopo_pipeline.evaluation.labelled_split import labelled_split
from mopo_pipeline.evaluation.reweighting import lost_share
from mopo_pipeline.evaluation.rows import bounded
from mopo_pipeline.evaluation.values import with_scale_error
from mopo_pipeline.mopo.labelled import label_shares, share_carried
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.pareto.bounds import bounds
from mopo_pipeline.pareto.intervals import Interval, jackknife_error, prompt_bootstrap
from mopo_pipeline.tables import weight_columns

PARAMS = EvaluateParams(bootstrap=50)


def pairs_of(prompts: list[int], wins: list[float], people: int = 0) -> tuple[pd.DataFrame, ...]:
    """Prompts with so many pairs each; the answer that the policy favours wins all of them, or none."""
    of = np.repeat(np.arange(len(prompts)), prompts)
    ids = [f"{i}{side}" for i in range(len(of)) for side in "ab"]
    responses = pd.DataFrame({"response_id": ids, "prompt_id": np.repeat(of, 2).astype(str)})
    compared = pd.DataFrame(
        {
            "prompt_id": of.astype(str),
            "response_a": ids[::2],
            "response_b": ids[1::2],
            "split": "test",
            "good": np.asarray(wins)[of],
            weight_columns(["good"])[0]: 1.0,
            "annotator": [f"person {i % people}" if people else "" for i in range(len(of))],
        }
    )
    logprobs = responses[["response_id"]].assign(
        logprob_policy=np.tile([0.6, -1.2], len(of)), logprob_reference=0.0
    )
    return responses.assign(split="test"), compared, logprobs


def test_a_prompt_speaks_no_louder_for_having_more_comparisons() -> None:
    """Thirty prompts of ten pairs that the policy wins, thirty of one that it loses as clearly: one half, as for answers of its own."""
    tables = pairs_of([10] * 30 + [1] * 30, [1.0] * 30 + [0.0] * 30)
    found, _ = values.doubly_robust_values(*tables, None, ("good",), PARAMS, 0)
    assert found["value"].iloc[0] == pytest.approx(0.5)
    assert found["n"].iloc[0] == 60


def test_groups_of_very_unequal_size_are_not_as_many_as_they_are() -> None:
    """Group i of 25 has a share of all prompts like 1 / i^1.5; a bound that may be false once in 250 sets."""
    sets, level = 1500, 0.996
    mass = 100.0 / np.arange(1, 26) ** 1.5
    found = prompt_bootstrap(
        mass[:, None] * np.linspace(0.4, 0.6, 25)[:, None],
        mass[:, None],
        confidence=0.95,
        draws=50,
        rng=np.random.default_rng(0),
    )
    rng, false = np.random.default_rng(1), np.zeros(2)
    for rates in 0.5 + 0.1 * rng.normal(size=(sets, 25)):
        value, se = float(mass @ rates / mass.sum()), jackknife_error(mass * rates, mass)
        for i, freedom in enumerate((None, float(found.freedom[0]))):
            false[i] += bounds(value, se, 25, level, freedom)[0] > 0.5
    as_many, as_they_count = false / sets
    assert as_many > 4 * (1 - level)
    assert as_they_count < (1 - level) + 3 * np.sqrt(level * (1 - level) / sets)


def test_a_certificates_bound_has_the_degrees_of_freedom_of_its_error() -> None:
    known = estimate("exact", [0.6, 0.55, 0.48], half=0.02).assign(freedom=3.0)
    [harm, _] = certificate(checked(known)).thresholds
    level = certificate(checked(known)).level
    assert harm.lower == pytest.approx(0.55 - 0.01 * stdtrit(3.0, level))


def test_two_people_leave_hardly_a_degree_of_freedom_at_any_level() -> None:
    """A later look has a stricter level, at which the error of two people is far wider than one of sixty prompts."""
    rng = np.random.default_rng(2)
    wins = (rng.random(60) < np.where(np.arange(60) % 2, 0.9, 0.6)).astype(float)
    tables = pairs_of([1] * 60, wins.tolist(), people=2)
    row = values.doubly_robust_values(*tables, None, ("good",), PARAMS, 0)[0].iloc[0]
    assert row["freedom"] < 3.0
    value, se, n = row["value"], row["se"], row["n"]
    first, later = (bounds(value, se, n, x, row["freedom"])[1] - value for x in (0.7, 0.85))
    assert later / first > 1.2 * stdtrit(59.0, 0.85) / stdtrit(59.0, 0.7)
    assert first == pytest.approx(se * stdtrit(row["freedom"], 0.7))


@pytest.mark.parametrize("prompts", [2, 4])
def test_intervals_over_a_handful_of_prompts_cover_as_they_say(prompts: int) -> None:
    """Means drawn again lie within what was seen: of two prompts they hold the truth in one case of two."""
    sets, rng = 150, np.random.default_rng(prompts)
    hits = 0
    for rates in 0.5 + 0.1 * rng.normal(size=(sets, prompts, 1)):
        found = prompt_bootstrap(rates, np.ones((prompts, 1)), confidence=0.95, draws=20, rng=rng)
        hits += bool(found.low[0] <= 0.5 <= found.high[0])
    assert hits / sets > 0.95 - 3 * np.sqrt(0.95 * 0.05 / sets)


def test_five_prompts_that_agree_do_not_hold_a_threshold_for_sure() -> None:
    same = Interval(*np.ones((3, 1)), np.zeros(1), np.full(1, 5.0), 0.95)
    found = bounded(same)
    assert found.low[0] == pytest.approx(0.025 ** (1 / 5))
    assert found.high[0] == 1.0


def test_few_answers_a_prompt_do_not_lift_what_a_policy_gave_up() -> None:
    """Eight answers of worth -.6 z to each of 4000 prompts, all pairs, a policy half a nat from who wrote them."""
    prompts, answers = 4000, 8
    z = np.random.default_rng(3).normal(size=(prompts, answers))
    i, j = np.triu_indices(answers, 1)
    starts = answers * np.arange(prompts)[:, None]
    first, second, worth = (starts + i).ravel(), (starts + j).ravel(), -0.6 * z.ravel()
    labels = expit(worth[first] - worth[second])[:, None]
    nodes, mass = np.polynomial.hermite_e.hermegauss(40)
    truth = expit(-0.6 + 0.6 * np.sqrt(2.0) * nodes) @ mass / mass.sum()
    owner, even = np.repeat(np.arange(prompts), answers), np.ones_like(labels)
    plain, debiased = (
        float((left * labels + right * (1 - labels)).sum() / (left + right).sum())
        for left, right in (
            label_shares(first, second, even, z.ravel(), owner, debiased=d) for d in (False, True)
        )
    )
    assert plain - truth > 0.01
    assert -0.02 < debiased - truth < 0.0


def test_the_draw_to_one_half_is_taken_off_below_it_alone() -> None:
    """Above one half it understates, which no certificate needs corrected."""
    for won, moved in ((0.0, True), (1.0, False)):
        tables = pairs_of([3] * 40, [won] * 40)
        held = labelled_split(*tables, ("good",))
        plain = within_prompts._label_means(held, *within_prompts._shares(held))[0]
        said = within_prompts.label_values(*tables, ("good",), PARAMS, 0)["value"].iloc[0]
        taken = within_prompts.drawn_to_half(*tables, ("good",))["good"]
        assert (said < plain - 0.01) == moved
        assert plain - taken == pytest.approx(said)


def test_the_farther_end_of_a_scale_counts_and_few_prompts_know_it_badly() -> None:
    """A value of .88 falls by .15 at the lower end of the scale and rises by .03 at the upper one; four prompts made it."""
    own = Interval(*np.array([[0.88], [0.86], [0.90], [0.01], [60.0]]), 0.95, np.full(1, 59.0))
    ends = np.array([[0.73], [0.91]])
    whole = with_scale_error(own, ends, np.full(1, 3.0))
    assert whole.se[0] == pytest.approx(np.hypot(0.01, 0.15 / stdtrit(3.0, 0.975)))
    assert 3.0 < whole.freedom[0] < 4.0
    assert bounds(0.88, whole.se[0], 60, 0.975, whole.freedom[0])[0] < 0.74
    assert with_scale_error(own, ends, np.full(1, np.inf)).freedom[0] > 59.0


def test_labels_are_passed_over_where_they_speak_of_a_policy_nearer_to_the_data() -> None:
    labels = estimate("labels", [0.6, 0.52, 0.48], effective=200.0)
    robust = estimate("doubly_robust", [0.6, 0.52, 0.48], effective=200.0)
    trusted = certificate(checked(robust, labels), lost=0.08, drawn=0.02)
    assert trusted.estimator == "doubly_robust"
    within = certificate(checked(robust, labels), lost=0.18, drawn=0.02)
    assert within.estimator == "labels"
    assert "18% of what the policy says lies beyond clipped ratios" in within.passed_over[0]
    nobody = certificate(checked(robust, labels), lost=0.18, drawn=0.05)
    assert nobody.verdict == "undecidable"
    assert "draw an estimate towards 0.5 by 0.050" in nobody.passed_over[1]
    few = certificate(checked(robust, labels), lost=0.18, drawn=0.02, carried=0.35)
    assert few.verdict == "undecidable"
    assert "amounts to 35% of its labelled answers, at least 40% wanted" in few.passed_over[1]


def test_where_a_few_answers_stand_for_all_a_policy_says_labels_are_passed_over() -> None:
    """Two nats from who drew 20 answers a prompt, .02 of bias are left after .03 were taken off; one nat with ten is fine."""
    carried, left = {}, {}
    for nats, answers in ((1.0, 10), (2.0, 20)):
        step, prompts = np.sqrt(2.0 * nats), 12_000 // answers
        z = np.random.default_rng(5).normal(size=(prompts, answers))
        i, j = np.triu_indices(answers, 1)
        starts = answers * np.arange(prompts)[:, None]
        first, second, worth = (starts + i).ravel(), (starts + j).ravel(), -0.3 * z.ravel()
        labels = expit(worth[first] - worth[second])[:, None]
        given = (
            first,
            second,
            np.ones_like(labels),
            step * z.ravel(),
            np.repeat(np.arange(prompts), answers),
        )
        shares = label_shares(*given, debiased=True)
        value = float(
            (shares[0] * labels + shares[1] * (1 - labels)).sum() / (shares[0] + shares[1]).sum()
        )
        nodes, mass = np.polynomial.hermite_e.hermegauss(40)
        left[nats] = value - expit(-0.3 * step + 0.3 * np.sqrt(2.0) * nodes) @ mass / mass.sum()
        carried[nats] = float(share_carried(*given)[0])
    assert left[1.0] < 0.005 < 0.01 < left[2.0]
    assert carried[2.0] < MIN_CARRIED < carried[1.0]


def test_a_policy_that_is_who_drew_the_answers_carries_all_of_them() -> None:
    responses, compared, logprobs = pairs_of([3] * 10, [1.0] * 10)
    even = logprobs.assign(logprob_policy=-1.0, logprob_reference=-1.0)
    one_sided = within_prompts.carried_share(responses, compared, logprobs, ("good",))["good"]
    assert within_prompts.carried_share(responses, compared, even, ("good",))[
        "good"
    ] == pytest.approx(1.0)
    ratio = np.exp([0.6, -1.2])
    assert one_sided == pytest.approx(ratio.sum() ** 2 / (2 * (ratio**2).sum()))
    assert within_prompts.carried_share(responses, compared.iloc[:0], even, ("good",)) == {
        "good": None
    }


def heavy_tailed(sets: int, prompts: int, answers: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Log-ratios of a policy one nat from who drew the answers, what they win against these, and the policy's own value."""
    step, worth = np.sqrt(2.0), -0.6
    z = np.random.default_rng(14).normal(size=(sets, prompts, answers))
    nodes, mass = np.polynomial.hermite_e.hermegauss(40)
    mass = mass / mass.sum()
    grid = np.linspace(-6.0, 6.0, 500)
    wins = np.interp(z, grid, expit(worth * np.subtract.outer(grid, nodes)) @ mass)
    truth = expit(worth * (step + np.sqrt(2.0) * nodes)) @ mass
    return step * z - step**2 / 2, wins, float(truth)


def test_what_lies_beyond_clipped_ratios_may_be_worth_anything() -> None:
    """One nat from the data, clipped ratios leave out .03 of what the policy says, and its worst: a bound may be false once in 60."""
    sets, prompts, level, cap = 400, 200, 1.0 - 1.0 / 60.0, 20.0
    logs, wins, truth = heavy_tailed(sets, prompts, answers=10)
    ratios = np.minimum(np.exp(logs), cap)
    false = np.zeros(2)
    for ratio, win in zip(ratios, wins, strict=True):
        top, mass = (ratio * win).sum(axis=1), ratio.sum(axis=1)
        value, se = float(top.sum() / mass.sum()), jackknife_error(top, mass)
        lost = lost_share(float(ratio.mean()))
        for i, share in enumerate((0.0, lost)):
            false[i] += bounds(value, se, prompts, level, lost=share)[0] > truth
    without, counted = false / sets
    assert without > 4 * (1 - level)
    assert counted < (1 - level) + 3 * np.sqrt(level * (1 - level) / sets)


def test_a_certificate_counts_what_was_lost_as_worth_nothing() -> None:
    robust = checked(estimate("doubly_robust", [0.6, 0.52, 0.48], half=0.02, effective=200.0))
    whole, lossy = certificate(robust), certificate(robust, lost=0.05)
    for full, short in zip(whole.thresholds, lossy.thresholds, strict=True):
        assert short.lower == pytest.approx(full.lower - 0.05 * full.value)
        assert short.upper == pytest.approx(full.upper + 0.05 * (1.0 - full.value))
    [harm, _] = lossy.thresholds
    assert harm.prompts_needed is None
    assert not any("clipped ratios" in said for said in whole.assumed)
    assert any(
        said.startswith("5.0% of what the policy says lies beyond") for said in lossy.assumed
    )
    judged = checked(estimate("rules", [0.6, 0.52, 0.48], half=0.02))
    assert certificate(judged, lost=0.05).thresholds == certificate(judged).thresholds


def test_an_interval_holds_whatever_was_lost_is_worth() -> None:
    """All answers seen are four fifths as likely as they were: a fifth of what the policy says is out of sight."""
    responses, compared, logprobs = pairs_of([1] * 60, [1.0] * 40 + [0.0] * 20)
    whole, lossy = (
        values.doubly_robust_values(responses, compared, logprobs, None, ("good",), PARAMS, 0)[
            0
        ].iloc[0]
        for logprobs in (logprobs.assign(logprob_policy=np.log(mean)) for mean in (1.0, 0.8))
    )
    assert lossy["value"] == pytest.approx(whole["value"])
    assert lossy["ci_low"] == pytest.approx(whole["ci_low"] - 0.2 * whole["value"])
    assert lossy["ci_high"] == pytest.approx(whole["ci_high"] + 0.2 * (1.0 - whole["value"]))
