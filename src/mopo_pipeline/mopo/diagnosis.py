"""What goes wrong, told with the value seen, the limit, and what to change (method.md, section 7)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo.agreement import rank_agreement
from mopo_pipeline.mopo.dual import DualSolution

Array = NDArray[np.float64]
Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One thing a user must be told.

    Attributes:
        name: what was found.
        value: what was seen.
        limit: what it was held against.
        remedy: what to change.
        severity: ``error`` where going on cannot help, ``warning`` where it may disappoint, ``info``
            where it only explains.
    """

    name: str
    value: float
    limit: float
    remedy: str
    severity: Severity = "warning"

    def __str__(self) -> str:
        return f"{self.name}: {self.value:.4g} (limit {self.limit:.4g}); {self.remedy}"

    def as_dict(self) -> dict[str, Any]:
        """The fields, for JSON; numbers that are not finite become None."""
        fields = asdict(self)
        for name in ("value", "limit"):
            fields[name] = fields[name] if np.isfinite(fields[name]) else None
        return fields


@dataclass(frozen=True)
class Limits:
    """Where each signature of failure begins.

    Attributes:
        min_ess: least effective share of rows, 0 to 1.
        min_support: least share of fresh responses that are like the data's own, 0 to 1.
        max_multiplier: greatest multiplier.
        max_growth: greatest factor between a multiplier's last value and its median so far.
        min_kl: least KL to the reference, nats, of a policy that has moved.
        min_entropy_share: least entropy, as a share of the first recorded one.
        max_chi_variation: greatest coefficient of variation of a bound's temperature.
        max_agreement: rank correlation from which objectives no longer conflict.
        max_weight_share: greatest share of the total weight on one row.
        max_gap: greatest duality gap, win rates.
        max_debiasing: greatest distance of a planned value above what the rows alone say, win rates.
        max_margin: greatest distance of a bound below its value, win rates.
        min_room: least distance of a threshold from what is attainable, as a share of the range.
    """

    min_ess: float = 0.05
    min_support: float = 0.9
    max_multiplier: float = 100.0
    max_growth: float = 10.0
    min_kl: float = 0.01
    min_entropy_share: float = 0.1
    max_chi_variation: float = 0.5
    max_agreement: float = 0.9
    max_weight_share: float = 0.05
    max_gap: float = 1e-6
    max_debiasing: float = 0.05
    max_margin: float = 0.05
    min_room: float = 0.05


@dataclass(frozen=True)
class Signals:
    """What a run recorded, one entry per record; an empty array is a signal not recorded.

    Attributes:
        step: (T,) increasing.
        loss: (T,) training loss.
        kl: (T,) KL from the reference, nats.
        entropy: (T,) of the policy, nats; training may give its negative log-likelihood instead.
        ess: (T,) effective share of rows.
        support: (T,) share of fresh responses that are like the data's own.
        margin_share: (T,) share of the margins above thresholds that fresh responses had room for.
        refreshes: (T,) how often the reference has moved.
        multipliers: (T, K-1).
        chi: (T, K-1) temperatures of the bounds.
    """

    step: ArrayLike
    loss: ArrayLike = ()
    kl: ArrayLike = ()
    entropy: ArrayLike = ()
    ess: ArrayLike = ()
    support: ArrayLike = ()
    margin_share: ArrayLike = ()
    refreshes: ArrayLike = ()
    multipliers: ArrayLike = ((),)
    chi: ArrayLike = ((),)


def diagnose_plan(
    solution: DualSolution,
    win_rates: ArrayLike,
    thresholds: ArrayLike,
    attainable: ArrayLike,
    *,
    objectives: Sequence[str],
    groups: ArrayLike | None = None,
    limits: Limits | None = None,
) -> list[Finding]:
    """What the solved problem says before anything is trained.

    Args:
        solution: of ``solve_dual`` on these win rates and thresholds.
        win_rates: (N, K) in [0, 1].
        thresholds: (K-1,) win rates.
        attainable: (K, 2) low and high of each objective.
        objectives: K names, the primary first.
        groups: (N,) integer prompt ids.
        limits: where findings begin.

    Returns:
        Findings, errors first; empty where nothing needs saying.
    """
    bar = limits or Limits()
    asked = np.asarray(thresholds, dtype=np.float64)
    found = [
        *_violated(solution, asked, objectives),
        *_unbound(solution, asked, objectives),
        *_edges(asked, np.asarray(attainable, dtype=np.float64), objectives, bar),
        *_agreeing(rank_agreement(win_rates, groups), objectives, bar),
        *_margins(solution, objectives, bar),
        *_debiased(solution, objectives, bar),
        *_runaway(solution.multipliers, objectives, bar, "warning"),
        *_weights(solution, bar),
    ]
    if solution.kl < bar.min_kl:
        found.append(
            Finding(
                "the plan hardly moves the policy", solution.kl, bar.min_kl,
                "win rates differ too little for this temperature: lower tau or check the labels",
            )
        )  # fmt: skip
    if not abs(solution.duality_gap) <= bar.max_gap:
        found.append(
            Finding(
                "duality gap open", solution.duality_gap, bar.max_gap,
                "the multipliers are not optimal to this accuracy: raise tau or lower the thresholds",
            )
        )  # fmt: skip
    return by_severity(found)


def diagnose_run(
    signals: Signals, *, objectives: Sequence[str], lag: int | None = None, steps: int | None = None,
    limits: Limits | None = None,
) -> list[Finding]:  # fmt: skip
    """What a run's records say, as far as they go; called again as more come in.

    Args:
        signals: what was recorded.
        objectives: K names, the primary first.
        lag: steps between refreshes of the reference; None is a static reference.
        steps: length of the run; KL near 0 counts only in its second half. None: the run is over.
        limits: where findings begin.

    Returns:
        Findings, errors first; an error says that going on cannot help.

    Raises:
        InputError: signals that are longer or shorter than ``step``.
    """
    bar = limits or Limits()
    step = np.atleast_1d(np.asarray(signals.step, dtype=np.float64))
    if not step.size:
        return []
    loss, kl, entropy, ess, support, margin_share, refreshes = (
        _series(name, getattr(signals, name), step.size)
        for name in ("loss", "kl", "entropy", "ess", "support", "margin_share", "refreshes")
    )
    width = len(objectives) - 1
    multipliers = _series("multipliers", signals.multipliers, step.size, width)
    chi = _series("chi", signals.chi, step.size, width)
    found = _loss(loss, step)
    if multipliers.size:
        found += _runaway(multipliers[-1], objectives, bar) + _growth(multipliers, objectives, bar)
    if ess.size:
        found += _effective(float(ess[-1]), bar)
    if support.size and support[-1] < bar.min_support:
        found.append(
            Finding(
                "policy leaves the data", float(support[-1]), bar.min_support,
                "many fresh responses are unlike any the win rates were learned from: raise tau, lower "
                "the learning rate or refresh less often",
            )
        )  # fmt: skip
    if margin_share.size and margin_share.min() < 1:
        found.append(
            Finding(
                "margins above the thresholds given up", float(margin_share.min()), 1.0,
                "fresh responses had room for this share of them, so thresholds may be missed: lower the "
                "thresholds or plan.confidence, or draw more with train.lag.fresh_responses",
            )
        )  # fmt: skip
    late = steps is None or step[-1] >= steps / 2
    if kl.size and late and abs(kl[-1]) < bar.min_kl:
        found.append(
            Finding(
                "policy stays at the reference", float(kl[-1]), bar.min_kl,
                "raise the learning rate, train longer or lower tau",
            )
        )  # fmt: skip
    if entropy.size and entropy[-1] < bar.min_entropy_share * entropy[0]:
        found.append(
            Finding(
                "policy collapsed", float(entropy[-1]), float(bar.min_entropy_share * entropy[0]),
                "its entropy is nearly gone: raise tau, lower the learning rate or stop earlier", "error",
            )
        )  # fmt: skip
    return by_severity(found + _unsettled(chi, objectives, bar) + _stuck(refreshes, step, lag))


def by_severity(findings: list[Finding]) -> list[Finding]:
    """Errors first, then warnings, then the rest; otherwise in the order given."""
    return sorted(findings, key=lambda found: ("error", "warning", "info").index(found.severity))


def _series(name: str, values: ArrayLike, length: int, width: int | None = None) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        return array
    expected = (length,) if width is None else (length, width)
    if array.shape != expected:
        raise InputError(f"signals.{name} must have shape {expected}, got {array.shape}")
    return array


def _violated(
    solution: DualSolution, thresholds: Array, objectives: Sequence[str]
) -> list[Finding]:
    rows = zip(objectives[1:], solution.status, solution.bounds, thresholds, strict=True)
    return [
        Finding(
            f"plan falls short: {name}", float(bound), float(asked),
            "the log barrier's price is finite: lower the threshold or use the lagrangian variant",
        )
        for name, status, bound, asked in rows
        if status == "violated"
    ]  # fmt: skip


def _unbound(solution: DualSolution, thresholds: Array, objectives: Sequence[str]) -> list[Finding]:
    names = [n for n, s in zip(objectives[1:], solution.status, strict=True) if s == "inactive"]
    if not names:
        return []
    if len(names) == thresholds.size:
        slack = float((solution.bounds - thresholds).min())
        return [
            Finding(
                "no threshold binds", slack, 0.0,
                f"all hold without cost, so {objectives[0]} alone is maximised: raise them, or keep "
                "them as a safeguard", "info",
            )
        ]  # fmt: skip
    bounds = dict(zip(objectives[1:], zip(solution.bounds, thresholds, strict=True), strict=True))
    return [
        Finding(
            f"threshold does not bind: {name}", float(bounds[name][0]), float(bounds[name][1]),
            "it holds without cost; raise it if more of it is wanted", "info",
        )
        for name in names
    ]  # fmt: skip


def _edges(
    thresholds: Array, attainable: Array, objectives: Sequence[str], bar: Limits
) -> list[Finding]:
    found = []
    for name, asked, (low, high) in zip(objectives[1:], thresholds, attainable[1:], strict=True):
        if high - low > 0 and high - asked < bar.min_room * (high - low):
            found.append(
                Finding(
                    f"threshold at the edge: {name}", float(asked),
                    float(high - bar.min_room * (high - low)),
                    "hardly any policy reaches it, and it costs the primary most: lower it",
                )
            )  # fmt: skip
    return found


def _agreeing(agreement: Array, objectives: Sequence[str], bar: Limits) -> list[Finding]:
    return [
        Finding(
            f"objectives agree: {objectives[0]} and {name}", float(agreement[0, k]),
            bar.max_agreement,
            "they rank responses alike, so this threshold has nothing to trade: choose an objective "
            "that conflicts", "info",
        )
        for k, name in enumerate(objectives)
        if k and agreement[0, k] >= bar.max_agreement
    ]  # fmt: skip


def _margins(solution: DualSolution, objectives: Sequence[str], bar: Limits) -> list[Finding]:
    margins = solution.values[1:] - solution.bounds
    return [
        Finding(
            f"label noise is costly: {name}", float(margin), bar.max_margin,
            "the bound lies far below the value it assures: add comparisons, raise tau or lower the "
            "confidence",
        )
        for name, margin in zip(objectives[1:], margins, strict=True)
        if margin > bar.max_margin
    ]  # fmt: skip


def _debiased(solution: DualSolution, objectives: Sequence[str], bar: Limits) -> list[Finding]:
    return [
        Finding(
            f"few responses leave the planned value uncertain: {name}", float(value),
            float(plain + bar.max_debiasing),
            f"the rows alone say {plain:.3f}, and what lies beyond holds if more responses like them exist: add "
            "responses per prompt or raise tau",
        )
        for name, value, plain in zip(objectives, solution.values, solution.row_values, strict=True)
        if value > plain + bar.max_debiasing
    ]  # fmt: skip


def _weights(solution: DualSolution, bar: Limits) -> list[Finding]:
    found = _effective(solution.ess, bar, "warning")
    share = float(solution.ratio.max() / solution.ratio.sum())
    if share > bar.max_weight_share and solution.ratio.size * bar.max_weight_share > 1:
        found.append(
            Finding(
                "one row carries much of the weight", share, bar.max_weight_share,
                "training would repeat it: raise tau or add responses",
            )
        )  # fmt: skip
    return found


def _effective(ess: float, bar: Limits, severity: Severity = "error") -> list[Finding]:
    if ess >= bar.min_ess:
        return []
    return [
        Finding(
            "few effective rows", ess, bar.min_ess,
            "few rows carry the weight: raise tau, lengthen the lag, or draw fresh responses", severity,
        )
    ]  # fmt: skip


def _runaway(
    multipliers: Array, objectives: Sequence[str], bar: Limits, severity: Severity = "error"
) -> list[Finding]:
    return [
        Finding(
            f"multiplier runs away: {name}", float(value), bar.max_multiplier,
            "its threshold lies at the edge of what the rows can reach: lower it", severity,
        )
        for name, value in zip(objectives[1:], multipliers, strict=True)
        if not value <= bar.max_multiplier
    ]  # fmt: skip


def _growth(multipliers: Array, objectives: Sequence[str], bar: Limits) -> list[Finding]:
    """A multiplier far above its own median, still rising: the first sign of one that runs away."""
    found = []
    for name, series in zip(objectives[1:], multipliers.T, strict=True):
        typical = float(np.median(series))
        rising = len(series) >= 4 and bool((np.diff(series[-4:]) > 0).all())
        if rising and typical > 0 and series[-1] > bar.max_growth * typical:
            found.append(
                Finding(
                    f"multiplier grows: {name}", float(series[-1]), bar.max_growth * typical,
                    "its threshold gets harder to hold: lower it or lengthen the lag",
                )
            )  # fmt: skip
    return found


def _loss(loss: Array, step: Array) -> list[Finding]:
    bad = np.flatnonzero(~np.isfinite(loss))
    if not bad.size:
        return []
    return [
        Finding(
            f"loss not finite at step {step[bad[0]]:.0f}", float(loss[bad[0]]), float("inf"),
            "lower the learning rate or the gradient norm", "error",
        )
    ]  # fmt: skip


def _unsettled(chi: Array, objectives: Sequence[str], bar: Limits) -> list[Finding]:
    """Variation of each bound's temperature over the second half of the records."""
    if len(chi) < 4:
        return []
    found = []
    for name, series in zip(objectives[1:], chi[len(chi) // 2 :].T, strict=True):
        kept = series[np.isfinite(series)]
        variation = float(kept.std() / kept.mean()) if kept.size > 1 and kept.mean() > 0 else 0.0
        if variation > bar.max_chi_variation:
            found.append(
                Finding(
                    f"bound unsettled: {name}", variation, bar.max_chi_variation,
                    "its temperature chi still swings: raise the batch size or lower its step size",
                )
            )  # fmt: skip
    return found


def _stuck(refreshes: Array, step: Array, lag: int | None) -> list[Finding]:
    if lag is None or not refreshes.size:
        return []
    due = np.floor(max(step[-1] - 1, 0) / lag)
    if refreshes[-1] >= due:
        return []
    return [
        Finding(
            "reference not refreshing", float(refreshes[-1]), float(due),
            "fewer refreshes than the lag asks for: the run holds its first reference; check the lag",
        )
    ]  # fmt: skip
