"""The pocket task's own rules as a judge."""

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.judges.base import Link
from mopo_pipeline.pocket import task as pocket
from mopo_pipeline.tables import prompt_text

_MALFORMED = 20.0
"""How far below the worst answer a malformed one scores: it loses against every answer."""


class PocketRules:
    """Scores answers to the pocket task by rule, exactly; malformed answers lose to all others."""

    name = "rules"
    link: Link = "logistic"

    def __init__(self, objectives: tuple[str, ...] = pocket.OBJECTIVES) -> None:
        pocket.places(objectives)
        self.objectives = objectives
        self._place = {answer: i for i, answer in enumerate(pocket.answers())}

    def scores(self, prompts: list[str], responses: list[str]) -> Array:
        """Scores (n, K) by rule, higher better."""
        rows = np.empty((len(responses), len(self.objectives)))
        for i, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
            try:
                table = pocket.scores(prompt, self.objectives)
            except KeyError:
                raise InputError(
                    f"{prompt_text(prompt)[:60]!r} is no prompt of the pocket task: choose another "
                    "judge"
                ) from None
            answer = pocket.parse(prompt, response)
            rows[i] = (
                table.min(axis=0) - _MALFORMED if answer is None else table[self._place[answer]]
            )
        return rows

    @staticmethod
    def well_formed(prompts: list[str], responses: list[str]) -> NDArray[np.bool_]:
        """Whether each response is one of the task's answers to its prompt, (n,)."""
        return np.array(
            [pocket.parse(p, r) is not None for p, r in zip(prompts, responses, strict=True)],
            dtype=bool,
        )
