"""Training under the core's diagnosis: what is found is told at once, and an error ends the run."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import TrainerCallback, TrainingArguments
from transformers.trainer_callback import TrainerControl, TrainerState

from mopo_pipeline.mopo import Finding, Limits, Signals, diagnose_run
from mopo_pipeline.mopo.errors import TrainingStoppedError

log = logging.getLogger(__name__)


def training_signals(
    history: Sequence[Mapping[str, float]], objectives: tuple[str, ...]
) -> Signals:
    """The logged steps as the core's signals.

    The weighted negative log-likelihood stands for the entropy: a policy that gives its weighted
    rows all its mass has none left.
    """
    rows = [entry for entry in history if "weighted_nll" in entry]

    def column(name: str) -> NDArray[np.float64]:
        return np.array([row[name] for row in rows]) if rows and name in rows[0] else np.empty(0)

    def columns(prefix: str) -> NDArray[np.float64]:
        parts = [column(f"{prefix}_{name}") for name in objectives[1:]]
        return np.column_stack(parts) if parts else np.empty((len(rows), 0))

    nll = column("weighted_nll")
    return Signals(
        step=column("step"),
        loss=nll,
        kl=column("kl_to_reference"),
        entropy=nll,
        ess=column("reference_ess"),
        support=column("support"),
        margin_share=column("margin_share"),
        refreshes=column("refreshes"),
        multipliers=columns("multiplier"),
        unlabelled=columns("unlabelled"),
    )


def training_findings(callbacks: Sequence[TrainerCallback]) -> list[dict[str, Any]]:
    """What a run's diagnosis found last, for JSON; empty for a run that was not watched."""
    watching = [c for c in callbacks if isinstance(c, DiagnosisCallback)]
    return [finding.as_dict() for callback in watching for finding in callback.findings]


class DiagnosisCallback(TrainerCallback):
    """Diagnose after every logged step.

    Attributes:
        findings: of the last logged step.
    """

    def __init__(self, objectives: tuple[str, ...], lag: int | None, limits: Limits) -> None:
        self.objectives, self.lag, self.limits = objectives, lag, limits
        self.findings: list[Finding] = []
        self._told: set[str] = set()

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Tell what is new.

        Raises:
            TrainingStoppedError: an error was found.
        """
        self.findings = diagnose_run(
            training_signals(state.log_history, self.objectives),
            objectives=self.objectives,
            lag=self.lag,
            steps=state.max_steps,
            limits=self.limits,
        )
        for finding in self.findings:
            if finding.severity == "error":
                raise TrainingStoppedError(
                    f"stopped at step {state.global_step}: {finding}; checkpoints are kept in "
                    f"{args.output_dir}"
                )
            if finding.name not in self._told and state.is_world_process_zero:
                log.warning("step %d: %s", state.global_step, finding)
            self._told.add(finding.name)
