"""Policies on the way from the reference to where a run ended, and the one of them that is kept."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback
from transformers.trainer_callback import TrainerControl, TrainerState

from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.processes import from_first, sharded
from mopo_pipeline.mopo import Finding
from mopo_pipeline.mopo.schedule.candidates import Weighed, choose
from mopo_pipeline.training.trainer import WeightedTrainer

log = logging.getLogger(__name__)

ADAPTED = ("lora_B", "lora_embedding_B")
"""Factors of an adapter that are 0 before its first step: scaled, they scale what it adds."""


class Way:
    """The way of a model's weights from those of the reference to those it has.

    Args:
        model: trained.
        reference: directory of its first weights; None where it is an adapter on them.
    """

    def __init__(self, model: Any, reference: Path | None) -> None:
        weights = dict(model.named_parameters())
        if reference is None:
            self.weights = {n: w for n, w in weights.items() if any(a in n for a in ADAPTED)}
            self.starts = {n: torch.zeros_like(w, device="cpu") for n, w in self.weights.items()}
        else:
            self.weights = weights
            first, _ = load_model(reference, device="cpu")
            self.starts = {n: w.detach() for n, w in first.named_parameters()}
        self.ends = {n: w.detach().cpu().clone() for n, w in self.weights.items()}

    @torch.no_grad()
    def go(self, share: float) -> None:
        """Give the model the weights at a share of the way: 0 the reference's, 1 its own, bit for bit."""
        for name, weight in self.weights.items():
            weight.copy_(torch.lerp(self.starts[name], self.ends[name], share))


@dataclass(frozen=True)
class Choice:
    """What was seen of each candidate, and which was taken.

    Attributes:
        objectives: K names, the primary first.
        shares: C shares of the way, the policy itself (1) first.
        seen: of each.
        taken: index of the one kept.
    """

    objectives: tuple[str, ...]
    shares: tuple[float, ...]
    seen: tuple[Weighed, ...]
    taken: int

    def rows(self) -> list[dict[str, Any]]:
        """One per candidate, for JSON."""
        return [
            {
                "share": share,
                "values": dict(zip(self.objectives, map(_number, one.values), strict=True)),
                "required": dict(zip(self.objectives[1:], map(_number, one.required), strict=True)),
                "holds": one.shortfall == 0.0,
                "taken": index == self.taken,
            }
            for index, (share, one) in enumerate(zip(self.shares, self.seen, strict=True))
        ]

    def findings(self) -> list[Finding]:
        """What to tell of it: a policy short of where training ended, or one not seen to hold."""
        share, shortfall = self.shares[self.taken], self.seen[self.taken].shortfall
        found = []
        if share < 1.0:
            found.append(
                Finding(
                    "policy taken before the end of its way",
                    share,
                    1.0,
                    f"validation prefers this share of the way from the reference ({self._told()}); "
                    "train.loop.candidates=[1] keeps where training ended",
                    "info",
                )
            )
        if shortfall > 0.0:
            found.append(
                Finding(
                    "no candidate is seen to hold",
                    shortfall,
                    0.0,
                    f"on validation prompts the one that misses least was taken ({self._told()}): expect no certificate; "
                    "train longer or lower the threshold",
                    "info",
                )
            )
        return found

    def _told(self) -> str:
        """Each candidate's values and what is asked of them."""
        return "; ".join(
            f"{share:g}: "
            + ", ".join(
                f"{name} {value:.3f}" + ("" if k == 0 else f" of {one.required[k - 1]:.3f}")
                for k, (name, value) in enumerate(zip(self.objectives, one.values, strict=True))
            )
            for share, one in zip(self.shares, self.seen, strict=True)
        )


class CandidateCallback(TrainerCallback):
    """Where a run ends, weigh its candidates and leave the model at the one to keep.

    Args:
        trainer: of the run.
        objectives: K names, the primary first.
        shares: of the way from the reference, 1 among them.
        reference: directory of the first weights; None for an adapter.
        weigh: what is seen of the model as it is; None where nothing is.

    Attributes:
        choice: what was chosen; None where nothing was to choose, or to choose by.
    """

    def __init__(
        self,
        trainer: WeightedTrainer,
        objectives: tuple[str, ...],
        shares: Sequence[float],
        reference: Path | None,
        weigh: Callable[[], Weighed | None],
    ) -> None:
        self.trainer, self.objectives, self.weigh = trainer, objectives, weigh
        self.shares, self.reference = tuple(sorted(set(shares), reverse=True)), reference
        self.choice: Choice | None = None

    def on_train_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Choose; a model that processes hold a part of each stays where it is."""
        if len(self.shares) == 1:
            return
        model = self.trainer.accelerator.unwrap_model(self.trainer.model)
        if sharded(model):
            log.warning(
                "train.loop.candidates: a sharded model has one candidate, where training ended"
            )
            return
        policy = self.weigh()
        if policy is None:
            return
        way, seen = Way(model, self.reference), [policy]
        for share in self.shares[1:]:
            way.go(share)
            weighed = self.weigh()
            assert weighed is not None
            seen.append(weighed)
        taken = from_first(choose(seen))
        way.go(self.shares[taken])
        self.choice = Choice(self.objectives, self.shares, tuple(seen), taken)


def choices(callbacks: Sequence[TrainerCallback]) -> list[Choice]:
    """The choice a run made; none where there was none."""
    made = [c.choice for c in callbacks if isinstance(c, CandidateCallback)]
    return [choice for choice in made if choice is not None]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
