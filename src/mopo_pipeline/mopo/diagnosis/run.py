"""What a training run's records say (method.md, section 7)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo.diagnosis.findings import (
    Finding,
    Limits,
    by_severity,
    few_effective,
    runaway,
)


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
        margin_share: (T,) share of the margins above thresholds that the rows had room for.
        refreshes: (T,) how often the reference has moved.
        multipliers: (T, K-1).
        chi: (T, K-1) temperatures of the bounds.
        unlabelled: (T, K-1) how many periods so far held no label of an objective.
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
    unlabelled: ArrayLike = ((),)


def diagnose_run(
    signals: Signals,
    *,
    objectives: Sequence[str],
    lag: int | None = None,
    steps: int | None = None,
    limits: Limits | None = None,
) -> list[Finding]:
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
        found += runaway(multipliers[-1], objectives, bar) + _growth(multipliers, objectives, bar)
    if ess.size:
        found += few_effective(float(ess[-1]), bar)
    found += _fresh(support, margin_share, bar)
    found += _silent(_series("unlabelled", signals.unlabelled, step.size, width), objectives)
    late = steps is None or step[-1] >= steps / 2
    found += _moves(kl, entropy, late, bar)
    return by_severity(found + _unsettled(chi, objectives, bar) + _stuck(refreshes, step, lag))


def _fresh(support: Array, margin_share: Array, bar: Limits) -> list[Finding]:
    """Fresh responses unlike the data's own, and margins that rows had no room for; each (T,) or empty."""
    found = []
    if support.size and support[-1] < bar.min_support:
        found.append(
            Finding(
                "policy leaves the data",
                float(support[-1]),
                bar.min_support,
                "no more than this share of the fresh responses is like any the win rates were learned from: raise plan.tau, lower "
                "train.fit.learning_rate or refresh less often (train.lag.every)",
            )
        )
    if margin_share.size and margin_share.min() < 1:
        found.append(
            Finding(
                "margins above the thresholds given up",
                1.0 - float(margin_share.min()),
                0.0,
                "for this share of them the rows had no room, so thresholds may be missed: lower the thresholds or "
                "train.loop.confidence, or add rows (train.lag.fresh_responses where they are fresh)",
            )
        )
    return found


def _silent(unlabelled: Array, objectives: Sequence[str]) -> list[Finding]:
    """Objectives of which periods of rows held no label; (T, K-1) or empty."""
    last = unlabelled[-1] if unlabelled.size else np.zeros(0)
    return [
        Finding(
            f"periods without labels: {name}",
            float(count),
            0.0,
            "in so many periods its multiplier stayed what it was: raise train.lag.rows or train.lag.every, or label more",
        )
        for name, count in zip(objectives[1:], last, strict=False)
        if count > 0
    ]


def _moves(kl: Array, entropy: Array, late: bool, bar: Limits) -> list[Finding]:
    """A policy that has not moved when it is ``late``, or has collapsed; each (T,) or empty."""
    found = []
    if kl.size and late and abs(kl[-1]) < bar.min_kl:
        found.append(
            Finding(
                "policy stays at the reference",
                float(kl[-1]),
                bar.min_kl,
                "raise train.fit.learning_rate, train longer (train.fit.steps, train.fit.epochs) or lower plan.tau",
            )
        )
    if entropy.size and entropy[-1] < bar.min_entropy_share * entropy[0]:
        found.append(
            Finding(
                "policy collapsed",
                float(entropy[-1]),
                float(bar.min_entropy_share * entropy[0]),
                "its entropy is nearly gone: raise plan.tau, lower train.fit.learning_rate or stop earlier (train.fit.steps)",
                "error",
            )
        )
    return found


def _series(name: str, values: ArrayLike, length: int, width: int | None = None) -> Array:
    """A signal, (length,) or (length, width), checked; an empty one is (0,)."""
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        return array
    expected = (length,) if width is None else (length, width)
    if array.shape != expected:
        raise InputError(f"signals.{name} must have shape {expected}, got {array.shape}")
    return array


def _growth(multipliers: Array, objectives: Sequence[str], bar: Limits) -> list[Finding]:
    """A multiplier of (T, K-1) far above its own median, still rising: the first sign of one that runs away."""
    found = []
    for name, series in zip(objectives[1:], multipliers.T, strict=True):
        typical = float(np.median(series))
        rising = len(series) >= 4 and bool((np.diff(series[-4:]) > 0).all())
        if rising and typical > 0 and series[-1] > bar.max_growth * typical:
            found.append(
                Finding(
                    f"multiplier grows: {name}",
                    float(series[-1]),
                    bar.max_growth * typical,
                    "its threshold gets harder to hold: lower it in plan.thresholds or raise train.lag.every",
                )
            )
    return found


def _loss(loss: Array, step: Array) -> list[Finding]:
    """The first step (T,) at which the loss (T,) is not finite."""
    bad = np.flatnonzero(~np.isfinite(loss))
    if not bad.size:
        return []
    return [
        Finding(
            f"loss not finite at step {step[bad[0]]:.0f}",
            float(loss[bad[0]]),
            float("inf"),
            "lower train.fit.learning_rate or train.fit.max_gradient_norm",
            "error",
        )
    ]


def _unsettled(chi: Array, objectives: Sequence[str], bar: Limits) -> list[Finding]:
    """Variation of each bound's temperature (T, K-1) over the second half of the records."""
    if len(chi) < 4:
        return []
    found = []
    for name, series in zip(objectives[1:], chi[len(chi) // 2 :].T, strict=True):
        kept = series[np.isfinite(series)]
        variation = float(kept.std() / kept.mean()) if kept.size > 1 and kept.mean() > 0 else 0.0
        if variation > bar.max_chi_variation:
            found.append(
                Finding(
                    f"bound unsettled: {name}",
                    variation,
                    bar.max_chi_variation,
                    "its temperature chi still swings: raise the batch size or lower its step size",
                )
            )
    return found


def _stuck(refreshes: Array, step: Array, lag: int | None) -> list[Finding]:
    """Fewer refreshes (T,) than the lag asks for by the last step (T,)."""
    if lag is None or not refreshes.size:
        return []
    due = np.floor(max(step[-1] - 1, 0) / lag)
    if refreshes[-1] >= due:
        return []
    return [
        Finding(
            "reference not refreshing",
            float(refreshes[-1]),
            float(due),
            "fewer refreshes than the lag asks for: the run holds its first reference; check the lag",
        )
    ]
