"""What a run watches from step to step, and writes with every logged one."""

import time
from collections.abc import Callable

import numpy as np
import torch

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo import effective_share
from mopo_pipeline.mopo.labelled import Seen
from mopo_pipeline.mopo.schedule.state import LagState
from mopo_pipeline.training.batches import WeightedBatch

INTERVAL = 1.96
"""Standard errors on either side of a value that are told, 95 % where it is nearly normal."""

Mean = Callable[[torch.Tensor], torch.Tensor]


class StepLog:
    """Divergence, tokens and time since the last logged step.

    Args:
        objectives: names, the primary first.
        processes: that train together.

    Attributes:
        told: the last look at validation prompts, in a line; empty before one.
    """

    def __init__(self, objectives: tuple[str, ...], processes: int) -> None:
        self.objectives, self.processes = objectives, processes
        self.told = ""
        self._clear()

    def _clear(self) -> None:
        self._tokens, self._refresh_seconds = 0, 0.0
        self._divergence: list[torch.Tensor] = []
        self._seen: dict[str, float] = {}
        self._since = time.perf_counter()

    def step(self, batch: WeightedBatch, logprob: torch.Tensor, initial: Array) -> None:
        """Count a step.

        Args:
            batch: of the step.
            logprob: (rows,) log pi now.
            initial: (N,) log pi_ref0 of all rows.
        """
        first = torch.as_tensor(initial[batch.rows], dtype=torch.float32, device=logprob.device)
        gap = batch.weight * (logprob - first)
        self._divergence.append(gap.sum() / batch.weight.sum().clamp_min(1e-12))
        self._tokens += batch.packed.n_tokens

    def look(self, seen: Seen, required: Array) -> None:
        """Keep what was seen on validation prompts for the next logged step, and to be told until the next look.

        Args:
            seen: values (K,) with their errors.
            required: (K-1,) least values at which thresholds count as seen to hold.
        """
        parts = []
        for k, name in enumerate(self.objectives):
            value, error = float(seen.values[k]), float(seen.errors[k])
            self._seen |= {f"validation_{name}": value, f"validation_{name}_se": error}
            wanted = ""
            if k > 0:
                self._seen[f"required_{name}"] = float(required[k - 1])
                wanted = f" (wants {required[k - 1]:.3f})"
                if required[k - 1] > 1.0:
                    wanted = " (too few prompts to see it hold)"
            parts.append(f"{name} {value:.3f}±{INTERVAL * error:.3f}{wanted}")
        self.told = ", ".join(parts)

    def refreshing(self, act: Callable[[], object]) -> None:
        """Run a refresh and count its time."""
        start = time.perf_counter()
        act()
        self._refresh_seconds += time.perf_counter() - start

    def entries(self, state: LagState, mean: Mean, device: torch.device | str) -> dict[str, float]:
        """What is written with a logged step; counts begin anew.

        Args:
            state: in force.
            mean: of a tensor over processes.
            device: of the tensor.
        """
        elapsed = time.perf_counter() - self._since
        gap = float(torch.stack(self._divergence).double().mean())
        here = [gap, self._tokens * self.processes]
        divergence, tokens = mean(torch.tensor(here, device=device, dtype=torch.float32)).tolist()
        found = {
            "ess": effective_share(state.weights[state.active]),
            "reference_ess": state.ess,
            "refreshes": float(state.refreshes),
            "support": state.support,
            "margin_share": state.margin_share,
            "kl_planned": state.farthest,
            "tokens_per_second": tokens / max(elapsed, 1e-9),
            "seconds": elapsed,
            "refresh_seconds": self._refresh_seconds,
        }
        if np.isfinite(state.initial_logprob).all():
            found["kl_to_reference"] = divergence
        for k, name in enumerate(self.objectives[1:]):
            found |= {
                f"multiplier_{name}": float(state.multipliers[k]),
                f"threshold_{name}": float(state.thresholds[k]),
                f"raised_{name}": float(state.raised[k]) if state.raised.size else 0.0,
                f"target_{name}": float(state.targets[k]),
                f"bound_{name}": float(state.bounds[k]),
                f"unlabelled_{name}": float(state.unlabelled[k]) if state.unlabelled.size else 0.0,
            }
        found |= self._seen
        self._clear()
        return found
