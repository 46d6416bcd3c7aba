"""A K-head Bradley-Terry model: one reward per objective, p(a beats b) = sigmoid(r_a - r_b)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.preferences import PreferenceModelParams
from mopo_pipeline.preferences.features import EncoderFeatures, WordFeatures, features_from_state

if TYPE_CHECKING:
    import torch

_CONFIG, _WEIGHTS = "preference_model.json", "model.safetensors"


class PreferenceModel:
    """An ensemble of reward networks on shared features; the mean of their rewards is the reward.

    Attributes:
        objectives: names of the K heads.
        temperature: (K,) factor that calibrates the rewards on labels they were not fitted to.
    """

    def __init__(
        self,
        objectives: tuple[str, ...],
        features: WordFeatures | EncoderFeatures,
        members: list["torch.nn.Module"],
        scale: tuple[NDArray[np.float32], NDArray[np.float32]],
        temperature: Array,
        hidden: int,
    ) -> None:
        self.objectives = objectives
        self.features = features
        self.members = members
        self.scale = scale
        self.temperature = temperature
        self.hidden = hidden

    def scores(self, prompts: list[str], responses: list[str]) -> Array:
        """Calibrated rewards (n, K), higher better, comparable within a prompt."""
        table = self.features(prompts, responses)
        rewards = [rewards_of(member, table, self.scale) for member in self.members]
        return np.asarray(np.mean(rewards, axis=0) * self.temperature)

    def save(self, directory: Path) -> None:
        """Write weights (safetensors) and description (JSON)."""
        from safetensors.numpy import save_file

        directory.mkdir(parents=True, exist_ok=True)
        tensors = {"mean": self.scale[0], "deviation": self.scale[1]}
        for i, member in enumerate(self.members):
            tensors |= {
                f"{i}.{name}": t.detach().numpy() for name, t in member.state_dict().items()
            }
        save_file(tensors, str(directory / _WEIGHTS))
        config = {
            "objectives": list(self.objectives),
            "features": self.features.state(),
            "members": len(self.members),
            "hidden": self.hidden,
            "temperature": self.temperature.tolist(),
        }
        (directory / _CONFIG).write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> "PreferenceModel":
        """Read what ``save`` wrote.

        Raises:
            InputError: no model lies there.
        """
        if not (directory / _CONFIG).is_file():
            raise InputError(
                f"{directory} holds no preference model: set preferences.win_rates.method to preference_model and run "
                "kedro run --nodes=preferences.estimate_win_rates"
            )
        import torch
        from safetensors.numpy import load_file

        config: dict[str, Any] = json.loads((directory / _CONFIG).read_text(encoding="utf-8"))
        tensors = load_file(str(directory / _WEIGHTS))
        scale = (tensors.pop("mean"), tensors.pop("deviation"))
        members = []
        for i in range(config["members"]):
            member = reward_network(scale[0].size, len(config["objectives"]), config["hidden"])
            prefix = f"{i}."
            member.load_state_dict(
                {
                    n.removeprefix(prefix): torch.from_numpy(t)
                    for n, t in tensors.items()
                    if n.startswith(prefix)
                }
            )
            members.append(member.eval())
        return cls(
            tuple(config["objectives"]),
            features_from_state(config["features"]),
            members,
            scale,
            np.array(config["temperature"]),
            config["hidden"],
        )


def reward_network(n_features: int, n_objectives: int, hidden: int) -> "torch.nn.Module":
    """Linear rewards, plus a small hidden layer unless ``hidden`` is 0."""
    from torch import nn

    if hidden == 0:
        return nn.Linear(n_features, n_objectives, bias=False)
    return nn.Sequential(
        nn.Linear(n_features, hidden),
        nn.SiLU(),
        nn.Linear(hidden, hidden),
        nn.SiLU(),
        nn.Linear(hidden, n_objectives),
    )


def rewards_of(
    network: "torch.nn.Module",
    table: NDArray[np.float32],
    scale: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> Array:
    """Uncalibrated rewards (n, K) of one network."""
    import torch

    with torch.no_grad():
        rewards = network(torch.from_numpy((table - scale[0]) / scale[1]))
        return np.asarray(rewards.double().numpy())


def fit_network(
    table: NDArray[np.float32],
    pairs: Index,
    labels: Array,
    weights: Array,
    stopping: NDArray[np.bool_],
    params: PreferenceModelParams,
    seed: int,
) -> "torch.nn.Module":
    """Fit one network by masked cross-entropy, stopping when loss on the others no longer falls.

    Args:
        table: (n, features) standardised float32.
        pairs: (M, 2) rows compared.
        labels: (M, K) in [0, 1], NaN missing.
        weights: (M, K) mass of each comparison for each objective.
        stopping: (M,) comparisons that decide when to stop.
        params: sizes and rates.
        seed: of initial weights and batch order.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = reward_network(table.shape[1], labels.shape[1], params.hidden)
    loss = _cross_entropy(network, table, pairs, labels, weights)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=params.learning_rate, weight_decay=params.weight_decay
    )
    fit_rows = torch.from_numpy(np.flatnonzero(~stopping))
    stop_rows = torch.from_numpy(np.flatnonzero(stopping))
    best, best_state, since = np.inf, None, 0
    for _ in range(params.epochs):
        order = fit_rows[torch.randperm(len(fit_rows), generator=generator)]
        for batch in order.split(params.batch_size):
            optimiser.zero_grad()
            loss(batch).backward()
            optimiser.step()
        with torch.no_grad():
            current = float(loss(stop_rows)) if len(stop_rows) else -1.0
        if current < best - 1e-5:
            best, since = current, 0
            best_state = {k: v.clone() for k, v in network.state_dict().items()}
        else:
            since += 1
            if since >= params.patience and len(stop_rows):
                break
    if best_state is not None and len(stop_rows):
        network.load_state_dict(best_state)
    return network.eval()


def _cross_entropy(
    network: "torch.nn.Module",
    table: NDArray[np.float32],
    pairs: Index,
    labels: Array,
    weights: Array,
) -> Callable[["torch.Tensor"], "torch.Tensor"]:
    """Mean cross-entropy of some comparisons (m,), missing labels left out, as a function of which."""
    import torch

    x = torch.from_numpy(table)
    y, w = torch.from_numpy(labels).float(), torch.from_numpy(weights).float()
    index = torch.from_numpy(np.asarray(pairs, dtype=np.int64))
    mask = ~torch.isnan(y)
    target = torch.nan_to_num(y, nan=0.5)

    def loss(rows: "torch.Tensor") -> "torch.Tensor":
        gap = network(x[index[rows, 0]]) - network(x[index[rows, 1]])
        each = torch.nn.functional.binary_cross_entropy_with_logits(
            gap, target[rows], reduction="none"
        )
        mass = mask[rows] * w[rows]
        return (each * mass).sum() / mass.sum().clamp_min(1e-12)

    return loss
