"""A chat model as a judge: two answers, a rubric per objective, both orders."""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.judges.base import Link
from mopo_pipeline.judges.cache import ask_once, default_cache
from mopo_pipeline.judges.letters import Model, model_of, question
from mopo_pipeline.language.lengths import cut_finding, tell
from mopo_pipeline.parameters.judges import ChatJudgeParams

log = logging.getLogger(__name__)

LEAST_MASS = 0.5
"""Mean probability of either letter below which a model is said not to answer as it is asked."""

_TOO_LONG = "it sees the first {} characters: raise max_characters as far as its context allows"


class ChatJudge:
    """Compares two answers by what a chat model is asked about each objective.

    Each pair is asked about in both orders. The model's log-odds for the answer shown first, l, are taken as
    what speaks for it, d, plus what speaks for the first place, o: l(a, b) = d + o and l(b, a) = -d + o. The
    difference is d = (l(a, b) - l(b, a)) / 2, from which any liking for a place is gone.
    """

    name = "chat"
    link: Link = "logistic"

    def __init__(
        self, params: ChatJudgeParams, objectives: tuple[str, ...], model: Model | None = None
    ) -> None:
        absent = [name for name in objectives if name not in params.rubrics]
        if absent:
            raise InputError(
                f"the chat judge has no rubric for objective {absent[0]!r}; it has {sorted(params.rubrics)}"
            )
        self.objectives = objectives
        self.opponents = params.opponents
        self._params = params
        self._model = model_of(params) if model is None else model
        self._cache = default_cache() if params.cache is None else Path(params.cache)

    def differences(self, prompts: list[str], first: list[str], second: list[str]) -> Array:
        """Log-odds (n, K) that the first answer is the better one, freed of a liking for places."""
        return self._places(prompts, first, second)[0]

    def order_bias(
        self, prompts: list[str], first: list[str], second: list[str]
    ) -> dict[str, dict[str, float]]:
        """What the order of two answers does to the model's word on these, by objective.

        Returns:
            ``first_place``: its mean probability for the answer shown first, .5 where places do not
            matter; ``contradicted``: share of pairs whose winner turns with the order; ``answered``: mean
            probability of saying A or B at all; empty without pairs.
        """
        if not prompts:
            return {}
        difference, place, mass = self._places(prompts, first, second)
        shown_first = np.array([_sigmoid(place + difference), _sigmoid(place - difference)])
        turned = np.abs(place) > np.abs(difference)
        return {
            name: {
                "first_place": float(shown_first[:, :, k].mean()),
                "contradicted": float(turned[:, k].mean()),
                "answered": float(mass[:, k].mean()),
            }
            for k, name in enumerate(self.objectives)
        }

    def read_in_part(self, prompts: list[str], responses: list[str]) -> NDArray[np.bool_]:
        """Whether each answer (n,) is shown in part; of prompts the end is shown, whatever their length."""
        most = self._params.max_characters
        return np.array([len(text) > most for text in responses], dtype=np.bool_)

    def _places(
        self, prompts: list[str], first: list[str], second: list[str]
    ) -> tuple[Array, Array, Array]:
        """What speaks for the first answers, what speaks for the first place, and the mass of both letters, (n, K)."""
        n, most = len(prompts), self._params.max_characters
        answers = list(dict.fromkeys([*first, *second]))
        cut = self.read_in_part(answers, answers)
        tell(cut_finding(cut, "answers shown to the chat judge", _TOO_LONG.format(most), "warning"))
        pairs = [
            *zip(prompts, first, second, strict=True),
            *zip(prompts, second, first, strict=True),
        ]
        texts = [
            question(self._params.rubrics[name], *pair, most)
            for name in self.objectives
            for pair in pairs
        ]
        said = ask_once(self._model, texts, self._cache, "chat judge")
        table = np.array(said, dtype=np.float64).reshape(len(self.objectives), 2, n, 2)
        one, other = table[:, 0, :, 0].T, table[:, 1, :, 0].T
        mass = table[..., 1].mean(axis=1).T
        self._warn(mass)
        return (one - other) / 2, (one + other) / 2, mass

    def _warn(self, mass: Array) -> None:
        """Tell that the model says something else than a letter, from masses (n, K)."""
        if mass.size and (mean := float(mass.mean())) < LEAST_MASS:
            log.warning(
                "the chat judge says A or B with probability %.2f on average: it does not answer as it is asked; "
                "an instruction-tuned model does",
                mean,
            )
        elif few := int((mass < LEAST_MASS).sum()):
            log.warning(
                "the chat judge says A or B with a probability below %g of %d of %d pairs: what little it says of them "
                "decides, and where it says neither they tie",
                LEAST_MASS,
                few,
                mass.size,
            )


def _sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), elementwise, of any shape (...,)."""
    from scipy.special import expit

    return np.asarray(expit(x))
