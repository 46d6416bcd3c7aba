"""What a trained policy carries with it: a model card in the hub's format."""

from pathlib import Path
from typing import Any

CARD = """---
library_name: {library}
tags: [multi-objective, preference-optimisation, mopo]
---

# Policy trained with thresholds

Maximises **{primary}** while holding every other objective at or above its threshold, by
multi-objective preference optimisation (arXiv 2505.10892). Values are win rates against the
behaviour policy of the data; the reference policy stands at 0.5.

| objective | role | threshold | planned value | lower bound | multiplier | status |
|---|---|---|---|---|---|---|
{rows}

- temperature tau: {tau}; confidence: {confidence}; radius epsilon: {epsilon:.2e}
- KL of the planned policy to the reference: {kl:.3f} nats per response
- effective share of training rows: {ess:.1%}

The values above are those of the plan. What the trained policy attained stands in
`evaluation_summary` and `report.html` of the run that made it.
"""


def write_model_card(directory: Path, plan: dict[str, Any], *, adapter: bool) -> None:
    """Write ``README.md`` beside the weights."""
    primary, *constrained = plan["objectives"]
    rows = [f"| {primary} | primary | | {plan['values'][primary]:.3f} | | | |"]
    rows += [
        f"| {n} | constrained | {plan['thresholds'][n]:.3f} | {plan['values'][n]:.3f} | {plan['bounds'][n]:.3f} "
        f"| {plan['multipliers'][n]:.3f} | {plan['status'][n]} |"
        for n in constrained
    ]
    card = CARD.format(
        library="peft" if adapter else "transformers",
        primary=primary,
        rows="\n".join(rows),
        tau=plan["tau"],
        confidence=plan["confidence"],
        epsilon=plan["epsilon"],
        kl=plan["kl"],
        ess=plan["ess"],
    )
    (directory / "README.md").write_text(card)
