"""What a trained policy carries with it: facts, a model card, and nothing of this machine."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
from huggingface_hub import ModelCard, ModelCardData

from mopo_pipeline.language.loading import FACTS, trained_elsewhere
from mopo_pipeline.language.sealed import MANIFEST, handed_over
from mopo_pipeline.pareto.verdicts import qualified
from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.training.checkpoints import write_error

BASE_NAME = "reference_policy"
"""What an exported adapter calls its base: the directory beside it."""

TAGS = ("multi-objective", "preference-optimisation", "mopo")

CARD = """---
{{ card_data }}
---

# Policy trained with thresholds

Maximises **{{ primary }}** while holding every other objective at or above its threshold, by
multi-objective preference optimisation (arXiv 2505.10892). Values are win rates against the
behaviour policy of the data, which stands at 0.5.{{ origin }}

{{ table }}

{{ attained }}

{{ certificate }}

- temperature tau: {{ tau }}; {{ assurance }}
- KL of the planned policy to the reference: {{ kl }} nats per response
- effective share of training rows: {{ ess }}
- fingerprints: data `{{ data }}`, configuration `{{ configuration }}`, reference model `{{ base }}`

{{ use }}
"""
"""The Hub's form of a card, a Jinja template; ``card_data`` is its YAML head."""

USE_MODEL = "Loads with `AutoModelForCausalLM.from_pretrained` and `AutoTokenizer.from_pretrained`."

USE_ADAPTER = (
    "A PEFT adapter of the model in `{base}`, the directory beside this one: load that with "
    "`AutoModelForCausalLM.from_pretrained`, then this with `PeftModel.from_pretrained(base, directory)`."
)

ATTAINED = (
    "Attained values are those of the estimator `{estimator}` on test prompts, as many as the table says. "
    "Held: the whole interval reaches the threshold; within noise: the interval contains it; missed: none of it reaches."
)

FROM_ELSEWHERE = (
    "\n\nTrained elsewhere, from what is not known here: thresholds, planned values and fingerprints of data and "
    "configuration are those of the plan it is held against."
)

CANDIDATE = "A candidate: nothing is certified before evaluation."

NOT_ATTAINED = "What the policy attains is measured by the evaluate stage, which adds it here."


def export_policy(source: Path, work_dir: Path, facts: dict[str, Any]) -> Path:
    """Copy a trained model with its facts and card; an adapter names its base by directory alone.

    Raises:
        WriteError: no room for the copy.
    """
    target = handed_over(".policy-", work_dir)
    ignored = shutil.ignore_patterns("training_args.bin", "README.md", MANIFEST)
    try:
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=ignored)
    except OSError as error:
        raise write_error(target, error) from error
    adapter = target / "adapter_config.json"
    if adapter.is_file():
        settings = json.loads(adapter.read_text(encoding="utf-8"))
        adapter.write_text(
            json.dumps(settings | {"base_model_name_or_path": BASE_NAME}, indent=2),
            encoding="utf-8",
        )
    (target / FACTS).write_text(json.dumps(facts, indent=1), encoding="utf-8")
    (target / "README.md").write_text(model_card(target), encoding="utf-8")
    return target


def fingerprint(*parts: pd.DataFrame | dict[str, Any]) -> str:
    """Content hash of tables and settings, 16 hex digits."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, pd.DataFrame):
            digest.update(pd.util.hash_pandas_object(part, index=False).to_numpy().tobytes())
        else:
            digest.update(json.dumps(part, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def model_card(
    policy: Path,
    checks: pd.DataFrame | None = None,
    estimator: str = "",
    certificate: str = "",
) -> str:
    """The card of an exported policy.

    Args:
        policy: directory ``export_policy`` made.
        checks: objective, and ``<estimator>_value``, ``_ci_low``, ``_ci_high``, ``_n``, ``_level``,
            ``_verdict``, ``_doubt``; None before evaluation.
        estimator: whose values the card shows.
        certificate: whether the thresholds hold, in a paragraph; empty before evaluation.
    """
    facts = json.loads((policy / FACTS).read_text(encoding="utf-8"))
    plan = TrainingPlan.from_json(facts["plan"])
    adapter = (policy / "adapter_config.json").is_file()
    card = ModelCard.from_template(
        ModelCardData(library_name="peft" if adapter else "transformers", tags=list(TAGS)),
        template_str=CARD,
        primary=plan.objectives[0],
        origin=FROM_ELSEWHERE if trained_elsewhere(policy) else "",
        table=_table(plan, checks, estimator),
        attained=NOT_ATTAINED if checks is None else ATTAINED.format(estimator=estimator),
        certificate=certificate or CANDIDATE,
        tau=plan.tau,
        assurance=plan.assurance,
        kl=f"{plan.kl:.3f}",
        ess=f"{plan.ess:.1%}",
        data=facts["data_fingerprint"],
        configuration=facts["config_fingerprint"],
        base=facts["base_fingerprint"][:16],
        use=USE_ADAPTER.format(base=BASE_NAME) if adapter else USE_MODEL,
    )
    return f"{card}\n"


def _table(plan: TrainingPlan, checks: pd.DataFrame | None, estimator: str) -> str:
    attained = None if checks is None else checks.set_index("objective")
    head = ["objective", "role", "threshold", "planned", "lower bound", "multiplier", "status"]
    if attained is not None:
        level = attained[f"{estimator}_level"].iloc[0]
        head += ["attained", f"{level:.0%} interval", "prompts", "verdict"]
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
        if attained is not None:
            row = attained.loc[name]
            cells += [
                f"{row[f'{estimator}_value']:.3f}",
                f"{row[f'{estimator}_ci_low']:.3f}–{row[f'{estimator}_ci_high']:.3f}",
                f"{row[f'{estimator}_n']:.0f}",
                qualified(str(row[f"{estimator}_verdict"]), str(row[f"{estimator}_doubt"])),
            ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
