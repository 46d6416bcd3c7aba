"""Every failure signature is found where it stands, and not where it does not."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import (
    Comparisons,
    DualSolution,
    Limits,
    Signals,
    attainable_range,
    diagnose_plan,
    diagnose_run,
    rank_agreement,
    run_stochastic,
    run_tabular,
    solve_dual,
)

NAMES = ("helpful", "harmless")
STEPS = np.arange(10, 210, 10)


def conflicting(n: int = 60, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    first = rng.random(n)
    return np.column_stack([first, np.clip(1 - first + rng.normal(0, 0.05, n), 0, 1)])


def findings(win_rates: np.ndarray, threshold: float, tau: float = 0.3, **given: Any) -> list[str]:
    solution = solve_dual(win_rates, [threshold], tau=tau, **given)
    return names(solution, win_rates, threshold)


def names(solution: DualSolution, win_rates: np.ndarray, threshold: float) -> list[str]:
    reach = attainable_range(win_rates, tau=0.3)
    found = diagnose_plan(solution, win_rates, [threshold], reach, objectives=NAMES)
    assert all(np.isfinite(f.value) and f.remedy for f in found)
    return [f.name for f in found]


def test_a_healthy_plan_has_no_findings() -> None:
    assert findings(conflicting(), 0.5) == []


@pytest.mark.parametrize(
    ("expected", "make"),
    [
        ("no threshold binds", lambda: findings(conflicting(), 0.05)),
        ("threshold at the edge: harmless", lambda: findings(conflicting(), 0.98)),
        (
            "objectives agree: helpful and harmless",
            lambda: findings(conflicting()[:, [0, 0]] * 0.9, 0.5),
        ),
        ("few effective rows", lambda: findings(conflicting(), 0.2, tau=0.001)),
        ("one row carries much of the weight", lambda: findings(conflicting(), 0.2, tau=0.001)),
        ("multiplier runs away: harmless", lambda: findings(conflicting(), 0.9999, tau=2.0)),
        ("the plan hardly moves the policy", lambda: findings(conflicting(), 0.3, tau=50.0)),
    ],
)
def test_each_signature_of_a_plan_is_found(expected: str, make: Callable[[], list[str]]) -> None:
    assert expected in make()


def test_one_of_two_thresholds_that_does_not_bind_is_named() -> None:
    win_rates = np.column_stack([conflicting(), np.random.default_rng(1).random(60)])
    solution = solve_dual(win_rates, [0.55, 0.1], tau=0.3)
    found = diagnose_plan(
        solution,
        win_rates,
        [0.55, 0.1],
        attainable_range(win_rates, tau=0.3),
        objectives=("a", "b", "c"),
    )
    assert [f.name for f in found] == ["threshold does not bind: c"]


def test_a_bound_far_below_its_value_is_label_noise() -> None:
    win_rates = conflicting()
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 60, (2, 400))
    predicted = 0.5 + (win_rates[first] - win_rates[second]) / 2
    labels = (rng.random((400, 2)) < predicted).astype(float)
    comparisons = Comparisons(first, second, labels, predicted)
    solution = solve_dual(win_rates, [0.05], tau=0.3, epsilon=0.05, comparisons=comparisons)
    assert "label noise is costly: harmless" in names(solution, win_rates, 0.05)


def test_a_value_far_above_what_few_rows_say_is_told() -> None:
    rng = np.random.default_rng(0)
    win_rates, groups = rng.random((90, 2)), np.repeat(np.arange(30), 3)
    few = solve_dual(win_rates, [0.5], tau=0.1, groups=groups, pooling=None)
    named = "few responses leave the planned value uncertain: helpful"
    assert named in names(few, win_rates, 0.5)
    assert few.values[0] > few.row_values[0] + 0.05
    whole = solve_dual(win_rates, [0.5], tau=0.1, groups=groups)
    assert named not in names(whole, win_rates, 0.5)
    np.testing.assert_array_equal(whole.row_values, whole.values)


def test_a_barrier_that_falls_short_is_told() -> None:
    win_rates = conflicting()
    high = attainable_range(win_rates, tau=0.3)[1, 1]
    solution = solve_dual(win_rates, [high], tau=0.3, variant="log_barrier")
    assert "plan falls short: harmless" in names(solution, win_rates, high)


def test_an_open_gap_is_told_and_a_gap_that_is_nan_too() -> None:
    win_rates = conflicting()
    solution = solve_dual(win_rates, [0.5], tau=0.3)
    for gap in (1e-3, -1e-3, float("nan")):
        reach = attainable_range(win_rates, tau=0.3)
        found = diagnose_plan(
            replace(solution, duality_gap=gap), win_rates, [0.5], reach, objectives=NAMES
        )
        assert [f.name for f in found] == ["duality gap open"]
        assert found[0].as_dict()["value"] == (None if np.isnan(gap) else gap)


HEALTHY: dict[str, Any] = {
    "step": STEPS,
    "loss": np.linspace(3, 2, 20),
    "kl": np.linspace(0.0, 0.4, 20),
    "entropy": np.linspace(3, 2, 20),
    "ess": np.full(20, 0.6),
    "support": np.full(20, 0.98),
    "margin_share": np.ones(20),
    "refreshes": STEPS // 50,
    "multipliers": np.full((20, 1), 0.8),
    "chi": np.full((20, 1), 5.0),
}


def run_findings(**changes: Any) -> list[str]:
    found = diagnose_run(Signals(**(HEALTHY | changes)), objectives=NAMES, lag=50)
    return [f"{f.severity} {f.name}" for f in found]


def test_a_healthy_run_has_no_findings() -> None:
    assert run_findings() == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"loss": np.append(np.ones(19), np.nan)}, "error loss not finite at step 200"),
        ({"kl": np.full(20, 0.001)}, "warning policy stays at the reference"),
        ({"entropy": np.geomspace(3, 0.01, 20)}, "error policy collapsed"),
        ({"ess": np.full(20, 0.01)}, "error few effective rows"),
        ({"support": np.linspace(1.0, 0.5, 20)}, "warning policy leaves the data"),
        (
            {"margin_share": np.append(0.5, np.ones(19))},
            "warning margins above the thresholds given up",
        ),
        ({"refreshes": np.zeros(20)}, "warning reference not refreshing"),
        ({"multipliers": np.full((20, 1), 1e3)}, "error multiplier runs away: harmless"),
        ({"multipliers": np.full((20, 1), np.nan)}, "error multiplier runs away: harmless"),
        (
            {"multipliers": np.geomspace(0.01, 50, 20)[:, None]},
            "warning multiplier grows: harmless",
        ),
        ({"chi": np.tile([1.0, 9.0], 10)[:, None]}, "warning bound unsettled: harmless"),
    ],
)
def test_each_signature_of_a_run_is_found(change: dict[str, Any], expected: str) -> None:
    assert expected in run_findings(**change)


def test_the_number_beside_margins_given_up_is_the_share_given_up() -> None:
    share = np.append(0.9, np.ones(19))
    [found] = diagnose_run(Signals(**HEALTHY | {"margin_share": share}), objectives=NAMES, lag=50)
    assert found.value == pytest.approx(0.1) and found.limit == 0.0


def test_a_policy_near_its_reference_counts_only_late_in_a_run() -> None:
    still = Signals(STEPS[:3], kl=[0.0, 0.001, 0.002])
    assert diagnose_run(still, objectives=NAMES, steps=200) == []
    assert diagnose_run(still, objectives=NAMES, steps=40) != []


def test_errors_come_first_and_limits_are_the_callers() -> None:
    found = run_findings(kl=np.full(20, 0.001), ess=np.full(20, 0.01))
    assert [line.split()[0] for line in found] == ["error", "warning"]
    low = diagnose_run(
        Signals(STEPS, ess=np.full(20, 0.01)), objectives=NAMES, limits=Limits(min_ess=0.001)
    )
    assert low == []


def test_signals_of_another_length_are_refused() -> None:
    with pytest.raises(InputError, match=r"signals.kl must have shape \(20,\), got \(3,\)"):
        run_findings(kl=np.zeros(3))
    with pytest.raises(InputError, match=r"signals.chi must have shape \(20, 1\), got \(20, 2\)"):
        run_findings(chi=np.zeros((20, 2)))
    assert diagnose_run(Signals([]), objectives=NAMES) == []


def test_the_histories_of_the_core_can_be_diagnosed() -> None:
    """A lagged run ends in a vertex, so its entropy is gone; published updates swing in chi."""
    first = np.array([[0.5, 0.9, 0.9], [0.1, 0.5, 0.9], [0.1, 0.1, 0.5]])
    run = run_tabular([first, first], [0.3, 0.3, 0.4], [0.5], tau=0.1, lag=1)
    history = run.history
    found = diagnose_run(
        Signals(history["step"], kl=history["kl_from_behaviour"], entropy=history["entropy"]),
        objectives=NAMES,
    )
    assert [f.name for f in found] == ["policy collapsed"]
    minibatch = run_stochastic(
        conflicting(8),
        [0.4],
        tau=0.3,
        rng=np.random.default_rng(0),
        epsilon=0.05,
        batch_size=2,
        chi_step=20.0,
        steps=2000,
        multiplier_step=0.05,
        policy_step=0.05,
        record_every=50,
    ).history
    swinging = Signals(minibatch["step"], chi=minibatch[["chi_1"]])
    assert "bound unsettled: harmless" in [f.name for f in diagnose_run(swinging, objectives=NAMES)]


@pytest.mark.parametrize("seed", range(5))
def test_agreement_is_the_mean_of_spearman_over_prompts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 6, 50)
    win_rates = np.round(rng.random((50, 3)), 1)
    expected = np.mean(
        [spearmanr(win_rates[groups == g]).statistic for g in np.unique(groups)], axis=0
    )
    np.testing.assert_allclose(rank_agreement(win_rates, groups), expected, atol=1e-12)


def test_agreement_leaves_out_prompts_that_rank_nothing() -> None:
    win_rates = np.array([[0.1, 0.2], [0.9, 0.8], [0.5, 0.5], [0.4, 0.4], [0.4, 0.9]])
    found = rank_agreement(win_rates, [0, 0, 1, 2, 2])
    assert found[0, 1] == 1.0
    assert np.isnan(rank_agreement([[0.5, 0.5]])).all()
