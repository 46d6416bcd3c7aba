"""How sure a certificate can be with the test prompts at hand, known before anything is trained (method.md, section 11)."""

import logging
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo import Finding
from mopo_pipeline.mopo.confidence import each_level
from mopo_pipeline.pareto.bounds import (
    MIN_PROMPTS,
    alpha_of_look,
    half_width,
    prompts_needed,
)
from mopo_pipeline.plan.spread import policy_spread
from mopo_pipeline.plan.training_plan import TrainingPlan

log = logging.getLogger(__name__)

WIDTH = "width of the certificate"
"""Of a finding that foresees a certificate which cannot decide; the objective follows."""


@dataclass(frozen=True)
class Outlook:
    """What a certificate could say of one threshold.

    Attributes:
        objective: its name.
        threshold: asked for.
        planned: win rate of the planned policy.
        prompts: of the test split that say something of it, or the groups they come in.
        margin: of the plan above its threshold.
        half_width: distance of the one-sided bound from the value, on a first look.
        prompts_needed: test prompts with which the planned value would be certified; None where none would.
    """

    objective: str
    threshold: float
    planned: float
    prompts: int
    margin: float
    half_width: float | None
    prompts_needed: int | None

    @property
    def decided(self) -> bool:
        """Whether a policy as planned would be certified more often than not."""
        return self.half_width is not None and self.planned - self.threshold >= self.half_width


def certificate_power(
    win_rates: pd.DataFrame,
    row_weights: pd.DataFrame,
    plan: TrainingPlan,
    *,
    prompts: int,
    answers: int | None,
    confidence: float,
    labelled: Array | None = None,
    carried: Array | None = None,
    drawn: str = "test prompts",
) -> dict[str, Any]:
    """How wide the certificate of a plan will be, and what it may leave undecided.

    Args:
        win_rates: one row per response, a column in [0, 1] per objective.
        row_weights: prompt_id, response_id and ratio of the training rows, of the policy that training heads for.
        plan: as solved.
        prompts: of the test split, as many as are asked, or the groups they come in.
        answers: judged per prompt; None where all are enumerated.
        confidence: joint level of the certificate, one-sided.
        labelled: (K,) standard deviation over prompts of what test labels will say, where the certificate will rest
            on them; None where it rests on answers.
        carried: (K,) prompts, or groups, that test labels of each objective are of; None: all of them.
        drawn: what the prompts are, for people.

    Returns:
        JSON-ready: ``prompts``, ``drawn``, ``answers``, ``rests_on`` (answers or labels), ``level`` (one-sided, of each threshold at a first look), an
        ``outlook`` per threshold and ``findings``.
    """
    level = each_level(1.0 - alpha_of_look(1.0 - confidence, 1), len(plan.constrained))
    spread = policy_spread(win_rates, row_weights, plan.objectives).of_mean(answers)
    if labelled is not None:
        spread, answers = labelled, None
    counts = np.full(len(plan.objectives), prompts) if carried is None else carried
    outlook = [
        _outlook(name, float(spread[k]), plan, int(counts[k]), level)
        for k, name in enumerate(plan.objectives)
        if name in plan.constrained
    ]
    return {
        "prompts": prompts,
        "drawn": drawn,
        "answers": answers,
        "rests_on": "answers" if labelled is None else "labels",
        "level": level,
        "outlook": [asdict(entry) for entry in outlook],
        "findings": [found.as_dict() for found in _findings(outlook, answers, drawn)],
    }


def tell(power: dict[str, Any]) -> None:
    """Say now, before hours of training, what was found."""
    for fields in power["findings"]:
        level = logging.INFO if fields["severity"] == "info" else logging.WARNING
        log.log(level, "%s", Finding.from_dict(fields))


def _outlook(name: str, spread: float, plan: TrainingPlan, prompts: int, level: float) -> Outlook:
    threshold, planned = float(plan.thresholds[name] or 0.0), float(plan.values[name] or 0.0)
    needed = prompts_needed(spread, planned - threshold, level)
    return Outlook(
        objective=name,
        threshold=threshold,
        planned=planned,
        prompts=prompts,
        margin=plan.margin(name),
        half_width=half_width(spread, prompts, level) if prompts > 1 else None,
        prompts_needed=None if needed is None else max(needed, MIN_PROMPTS),
    )


def _findings(outlook: list[Outlook], answers: int | None, drawn: str) -> list[Finding]:
    if not outlook:
        return []
    fewest = min(entry.prompts for entry in outlook)
    if fewest < MIN_PROMPTS:
        return [
            Finding(
                "certificate undecidable: few test prompts",
                float(fewest),
                float(MIN_PROMPTS),
                f"no verdict can rest on so few {drawn}, whatever is trained: add prompts, lower ingest.split.train or "
                "ingest.split.validation, or raise evaluate.sampling.prompts where it leaves some out",
                "error",
            )
        ]
    return [_told(entry, answers, drawn) for entry in outlook]


def _told(entry: Outlook, answers: int | None, drawn: str) -> Finding:
    asked = f"{entry.prompts} {drawn}" + ("" if answers is None else f" × {answers} answers")
    width, room = (
        math.nan if entry.half_width is None else entry.half_width,
        entry.planned - entry.threshold,
    )
    name = f"{WIDTH}: {entry.objective}"
    said = f"with {asked} the certificate decides to ±{width:.3f} at a first look"
    if entry.decided:
        return Finding(
            name, width, room, f"{said}, nearer than the plan is to its threshold", "info"
        )
    more = (
        "no number of prompts would decide in favour of the plan"
        if entry.prompts_needed is None
        else f"{entry.prompts_needed} {drawn} would decide"
    )
    margin = math.ceil(round((entry.margin + width - room) * 1000, 6)) / 1000
    return Finding(
        name,
        width,
        room,
        f"{said}, and the plan itself lies {room:.3f} above its threshold, which would come out undecided: {more}, or "
        f"plan.margins.{entry.objective}={margin:.3f} where training does not aim higher by itself (train.loop)",
    )
