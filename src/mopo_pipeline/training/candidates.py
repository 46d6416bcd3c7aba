"""Policies on the way from the reference to where a run ended, or that it passed, and the one of them that is kept."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback
from transformers.trainer_callback import TrainerControl, TrainerState

from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.processes import from_first, sharded
from mopo_pipeline.mopo import Finding
from mopo_pipeline.mopo.schedule.candidates import Weighed, choose
from mopo_pipeline.training.checkpoints import written_whole
from mopo_pipeline.training.trainer import WeightedTrainer

log = logging.getLogger(__name__)

PASSED = "passed-{step}.safetensors"
"""Trained weights as they were after a step, in the run's directory."""

ADAPTED = ("lora_B", "lora_embedding_B")
"""Factors of an adapter that are 0 before its first step: scaled, they scale what it adds."""


class Way:
    """The way of a model's weights from those of the reference to those it has.

    Args:
        model: trained.
        reference: directory of its first weights; None where it is an adapter on them.
    """

    def __init__(self, model: Any, reference: Path | None) -> None:
        self.weights = trained_weights(model)
        self.ends = {n: w.detach().cpu().clone() for n, w in self.weights.items()}
        if reference is None:
            self.starts = {
                n: torch.zeros_like(w) if any(a in n for a in ADAPTED) else w
                for n, w in self.ends.items()
            }
        else:
            first, _ = load_model(reference, device="cpu")
            self.starts = {n: w.detach() for n, w in first.named_parameters()}

    @torch.no_grad()
    def go(self, share: float) -> None:
        """Give the model the weights at a share of the way: 0 the reference's, 1 its own, bit for bit."""
        for name, weight in self.weights.items():
            weight.copy_(torch.lerp(self.starts[name], self.ends[name], share))

    @torch.no_grad()
    def pass_by(self, file: Path) -> None:
        """Give the model the weights it had when ``file`` was written."""
        kept = load_file(file)
        for name, weight in self.weights.items():
            weight.copy_(kept[name])


def trained_weights(model: Any) -> dict[str, torch.nn.Parameter]:
    """What training changes, by name."""
    return {n: w for n, w in model.named_parameters() if w.requires_grad}


def passing_steps(steps: int, count: int) -> list[int]:
    """Steps, evenly over a run and before its last, after which its policy is kept as a candidate.

    >>> passing_steps(400, 3), passing_steps(2, 5), passing_steps(400, 0)
    ([100, 200, 300], [1], [])
    """
    found = {round(steps * i / (count + 1)) for i in range(1, count + 1)}
    return sorted(step for step in found if 0 < step < steps)


class PassingCallback(TrainerCallback):
    """Writes the trained weights to the run's directory after some steps; a resumed run writes the same again."""

    def __init__(self, trainer: WeightedTrainer, steps: Sequence[int], directory: Path) -> None:
        self.trainer, self.steps, self.directory = trainer, set(steps), directory

    def on_step_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Write here or do nothing; weights that processes hold a part of each are not written."""
        model = self.trainer.accelerator.unwrap_model(self.trainer.model)
        if state.global_step not in self.steps or sharded(model) or not args.should_save:
            return
        weights = {n: w.detach().cpu().contiguous() for n, w in trained_weights(model).items()}
        target = self.directory / PASSED.format(step=state.global_step)
        with written_whole(target):
            save_file(weights, target.with_suffix(".part"))
            target.with_suffix(".part").replace(target)


@dataclass(frozen=True)
class Choice:
    """What was seen of each candidate, and which was taken.

    Attributes:
        objectives: K names, the primary first.
        shares: C shares of the way, the policy itself (1) first; 1 of the way to where a candidate was passed.
        seen: of each.
        taken: index of the one kept.
        steps: C steps after which they were passed; None where training ended.
    """

    objectives: tuple[str, ...]
    shares: tuple[float, ...]
    seen: tuple[Weighed, ...]
    taken: int
    steps: tuple[int | None, ...]

    def rows(self) -> list[dict[str, Any]]:
        """One per candidate, for JSON."""
        return [
            {
                "share": share,
                "step": step,
                "values": dict(zip(self.objectives, map(_number, one.values), strict=True)),
                "required": dict(zip(self.objectives[1:], map(_number, one.required), strict=True)),
                "holds": one.shortfall == 0.0,
                "taken": index == self.taken,
            }
            for index, (share, step, one) in enumerate(
                zip(self.shares, self.steps, self.seen, strict=True)
            )
        ]

    def findings(self) -> list[Finding]:
        """What to tell of it: a policy short of where training ended, or one not seen to hold."""
        share, shortfall = self.shares[self.taken], self.seen[self.taken].shortfall
        step, found = self.steps[self.taken], []
        if step is not None:
            found.append(
                Finding(
                    "policy taken before the last step",
                    float(step),
                    float(step),
                    f"validation prefers the policy that training passed there ({self._told()}); "
                    "train.loop.checkpoints=0 keeps where training ended",
                    "info",
                )
            )
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
            f"{f'{share:g}' if step is None else f'step {step}'}: "
            + ", ".join(
                f"{name} {value:.3f}" + ("" if k == 0 else f" of {one.required[k - 1]:.3f}")
                for k, (name, value) in enumerate(zip(self.objectives, one.values, strict=True))
            )
            for share, step, one in zip(self.shares, self.steps, self.seen, strict=True)
        )


class CandidateCallback(TrainerCallback):
    """Where a run ends, weigh its candidates and leave the model at the one to keep.

    Args:
        trainer: of the run.
        objectives: K names, the primary first.
        shares: of the way from the reference, 1 among them.
        reference: directory of the first weights; None for an adapter.
        weigh: what is seen of the model as it is; None where nothing is.
        passed: files of ``PassingCallback`` by step.

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
        passed: Mapping[int, Path],
    ) -> None:
        self.trainer, self.objectives, self.weigh = trainer, objectives, weigh
        self.passed = passed
        self.shares, self.reference = tuple(sorted(set(shares), reverse=True)), reference
        self.choice: Choice | None = None

    def on_train_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Choose; a model that processes hold a part of each stays where it is."""
        passed = {step: file for step, file in self.passed.items() if step < state.global_step}
        if len(self.shares) == 1 and not passed:
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
        moves = [partial(way.go, share) for share in self.shares]
        moves += [partial(way.pass_by, file) for file in passed.values()]
        for move in moves[1:]:
            move()
            weighed = self.weigh()
            assert weighed is not None
            seen.append(weighed)
        taken = from_first(choose(seen))
        moves[taken]()
        shares = self.shares + (1.0,) * len(passed)
        steps = (None,) * len(self.shares) + tuple(passed)
        self.choice = Choice(self.objectives, shares, tuple(seen), taken, steps)


def choices(callbacks: Sequence[TrainerCallback]) -> list[Choice]:
    """The choice a run made; none where there was none."""
    made = [c.choice for c in callbacks if isinstance(c, CandidateCallback)]
    return [choice for choice in made if choice is not None]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
