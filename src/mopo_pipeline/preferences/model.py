"""A K-head Bradley-Terry model: one reward per objective, p(a beats b) = sigmoid(r_a - r_b)."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.preferences.features import (
    EncoderFeatures,
    Features,
    WordFeatures,
    features_from_state,
)
from mopo_pipeline.preferences.networks import reward_network, rewards_of

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
        table = standardise(self.features(prompts, responses), self.scale)
        rewards = [rewards_of(member, table) for member in self.members]
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


def standardise(
    table: Features, scale: tuple[NDArray[np.float32], NDArray[np.float32]]
) -> Features:
    """Features (n, F) less their mean over their deviation; counts of words as they are."""
    return (table - scale[0]) / scale[1] if isinstance(table, np.ndarray) else table
