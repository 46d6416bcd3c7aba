"""A fitted preference model as a judge."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.judges.base import Link
from mopo_pipeline.preferences.features import EncoderFeatures
from mopo_pipeline.preferences.model import PreferenceModel


class PreferenceModelJudge:
    """Scores with a K-head Bradley-Terry model; differences are calibrated logits."""

    link: Link = "logistic"

    def __init__(
        self,
        model: PreferenceModel | Path,
        objectives: tuple[str, ...],
        name: str = "preference_model",
    ) -> None:
        self.model = (
            model if isinstance(model, PreferenceModel) else PreferenceModel.load(Path(model))
        )
        self.name = name
        self.objectives = objectives
        absent = [o for o in objectives if o not in self.model.objectives]
        if absent:
            raise InputError(
                f"the preference model has no head for {absent[0]!r}; it has "
                f"{list(self.model.objectives)}: fit it again with the task's objectives"
            )
        self._columns = [self.model.objectives.index(o) for o in objectives]

    def scores(self, prompts: list[str], responses: list[str]) -> Array:
        """Calibrated rewards (n, K), higher better."""
        return self.model.scores(prompts, responses)[:, self._columns]

    def read_in_part(self, prompts: list[str], responses: list[str]) -> NDArray[np.bool_]:
        """Whether the encoder reads each answer (n,) in part; a model of words reads all."""
        features = self.model.features
        if isinstance(features, EncoderFeatures):
            return features.read_in_part(prompts, responses)
        return np.zeros(len(responses), dtype=np.bool_)
