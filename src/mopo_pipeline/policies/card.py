"""The model card of a policy: what it is, what it holds, by whose word, and the lines that run it."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from huggingface_hub import ModelCard, ModelCardData

from mopo_pipeline.evaluation.certificate import Certificate, certificate_text
from mopo_pipeline.language.loading import FACTS, trained_elsewhere
from mopo_pipeline.parameters.evaluate import SamplingParams
from mopo_pipeline.pareto.verdicts import qualified
from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.sampling_units import drawn_as
from mopo_pipeline.tables import source_name

BASE_NAME = "reference_policy"
"""What an exported adapter calls its base: the directory beside it."""

TAGS = ("multi-objective", "preference-optimisation", "mopo")

TEMPLATE = Path(__file__).with_name("card.md.j2")
"""The Hub's form of a card, a Jinja template; ``card_data`` is its YAML head."""


@dataclass(frozen=True)
class Origin:
    """What a card says that the policy's own folder does not.

    Attributes:
        model: the reference starts from.
        source: of the data.
        prompts: by split.
        judgements: of the source; 0 where answers were rated.
        temperature: of the answers that were measured.
        top_p: of the same.
        measured: on which day.
        licence: of the policy, an identifier of the Hub; None where nobody said.
    """

    model: str
    source: str
    prompts: dict[str, int]
    judgements: int
    temperature: float
    top_p: float
    measured: date
    licence: str | None = None


@dataclass(frozen=True)
class Measured:
    """What evaluation found.

    Attributes:
        checks: objective, and ``<estimator>_value``, ``_ci_low``, ``_ci_high``, ``_n``, ``_level``, ``_verdict``,
            ``_doubt``.
        estimator: whose values the card shows; None where nothing could judge.
        certificate: of this policy.
        origin: what it was made of.
        note: before the certificate's own words.
    """

    checks: pd.DataFrame
    estimator: str | None
    certificate: Certificate
    origin: Origin
    note: str = ""


def origin(
    model: str, ingest_report: dict[str, Any], sampling: SamplingParams, licence: str | None = None
) -> Origin:
    """What a policy that is measured today was made of."""
    return Origin(
        model=model,
        source=source_name(ingest_report["source"]),
        prompts=ingest_report["prompts"],
        judgements=ingest_report["judgements"],
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        measured=datetime.now(UTC).date(),
        licence=licence,
    )


def model_card(policy: Path, measured: Measured | None = None) -> str:
    """The card of an exported policy.

    Args:
        policy: directory ``export_policy`` made.
        measured: what evaluation found; None before it.
    """
    facts = json.loads((policy / FACTS).read_text(encoding="utf-8"))
    plan = TrainingPlan.from_json(facts["plan"])
    adapter = (policy / "adapter_config.json").is_file()
    estimator = None if measured is None else measured.estimator
    made_of = None if measured is None else measured.origin
    card = ModelCard.from_template(
        _head(adapter, made_of),
        template_path=str(TEMPLATE),
        plan=plan,
        primary=plan.objectives[0],
        constrained=", ".join(plan.constrained),
        table=_table(plan, measured),
        estimator=estimator,
        certified=measured is not None and measured.certificate.certified,
        certificate="" if measured is None else certificate_text(measured.certificate),
        note="" if measured is None else measured.note,
        origin=made_of,
        scratch=made_of is not None and made_of.model == "scratch",
        facts=facts,
        elsewhere=trained_elsewhere(policy),
        base=BASE_NAME,
        adapter=adapter,
    )
    return f"{card}\n"


def _head(adapter: bool, made_of: Origin | None) -> ModelCardData:
    """What the Hub reads; a base that is no name there is left to the text."""
    known: dict[str, Any] = {} if made_of is None else {"license": made_of.licence}
    if made_of is not None and _on_hub(made_of.model):
        known["base_model"] = made_of.model
    library = "peft" if adapter else "transformers"
    return ModelCardData(
        library_name=library, pipeline_tag="text-generation", tags=list(TAGS), **known
    )


def _on_hub(model: str) -> bool:
    """Whether a model is named as the Hub names its own, and is no folder."""
    return (
        model.count("/") == 1 and not model.startswith((".", "/", "~")) and not Path(model).exists()
    )


def _table(plan: TrainingPlan, measured: Measured | None) -> str:
    known = measured if measured is not None and measured.estimator is not None else None
    head = ["objective", "role", "threshold", "planned", "planned bound", "multiplier", "status"]
    if known is not None:
        attained, issued = known.checks.set_index("objective"), known.certificate
        level = attained[f"{known.estimator}_level"].iloc[0]
        interval = "interval" if math.isnan(level) else f"{level:.0%} interval"
        head += ["attained", interval, drawn_as(issued.prompts, issued.units), "verdict"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name in plan.objectives:
        planned = f"{plan.values[name]:.3f}"
        if name == plan.objectives[0]:
            cells = [name, "primary", "", planned, "", "", ""]
        else:
            cells = [
                name,
                "constrained",
                f"{plan.thresholds[name]:.3f}",
                planned,
                f"{plan.bounds[name]:.3f}",
                f"{plan.multipliers[name]:.3f}",
                plan.status[name],
            ]
        if known is not None:
            cells += _attained(attained.loc[name], str(known.estimator))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _attained(row: Any, estimator: str) -> list[str]:
    """What was attained of one objective: value, interval, on how many draws, verdict."""
    value, low, high, n = (row[f"{estimator}_{key}"] for key in ("value", "ci_low", "ci_high", "n"))
    verdict = qualified(str(row[f"{estimator}_verdict"]), str(row[f"{estimator}_doubt"]))
    return [
        f"{value:.3f}",
        "–" if math.isnan(low) else f"{low:.3f}–{high:.3f}",
        f"{n:.0f}",
        verdict,
    ]
