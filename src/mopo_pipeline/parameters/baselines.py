"""Parameters of the rivals; each stands with its default here and its reason on its page of docs/rivals."""

from collections.abc import Mapping, Sequence
from math import isclose
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError

from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.base import StrictModel

Weights = tuple[NonNegativeFloat, ...]
Params = TypeVar("Params", bound=StrictModel)


class SweptParams(StrictModel):
    """A rival that is swept over weights: those given, or a lattice of the simplex."""

    weights: tuple[Weights, ...] | None = None
    divisions: PositiveInt = 3


class PairRivalParams(SweptParams):
    """A rival trained on pairs, with DPO's temperature."""

    learning_rate: PositiveFloat
    beta: PositiveFloat = 0.3


class SoupParams(PairRivalParams):
    """Rewarded soups: what is averaged."""

    merge: Literal["weights", "factors"] = "weights"


class RacoParams(PairRivalParams):
    """RACO: how far the update may leave the weighted gradient, and whether coefficients are clipped."""

    conflict: float = Field(default=0.4, ge=0.0, lt=1.0)
    clip: bool = True


class AmopoParams(SweptParams):
    """AMoPO: no reference, log-probabilities per token, a margin."""

    learning_rate: PositiveFloat
    beta: PositiveFloat = 2.0
    margin: NonNegativeFloat = 0.0


class BestOfNParams(SweptParams):
    """Best of n: the answers drawn for one that is given."""

    n: PositiveInt = 16


class InContextParams(SweptParams):
    """Rewards in context: levels a score is told in, and rounds on the policy's own answers."""

    learning_rate: PositiveFloat
    levels: Annotated[int, Field(ge=2)] = 8
    rounds: int = Field(default=1, ge=0)
    prompts: PositiveInt = 192
    answers: PositiveInt = 8
    quantile: float = Field(default=0.7, ge=0.0, lt=1.0)


class LagrangianParams(StrictModel):
    """A policy gradient under thresholds on mean win rates."""

    thresholds: tuple[dict[str, float], ...]
    learning_rate: PositiveFloat
    beta: NonNegativeFloat = 0.1
    multiplier_rate: PositiveFloat = 1.0
    answers: Annotated[int, Field(ge=2)] = 8


class TuningParams(StrictModel):
    """The grid a rival is tuned over, a whole front for each."""

    learning_rates: tuple[PositiveFloat, ...] = Field(min_length=1)
    betas: tuple[PositiveFloat, ...] = Field(default=(0.1, 0.3, 1.0), min_length=1)


HYPERPARAMETERS: dict[str, type[StrictModel]] = {
    "scalarised_dpo": PairRivalParams,
    "rewarded_soups": SoupParams,
    "mod": PairRivalParams,
    "best_of_n": BestOfNParams,
    "loss_weighted_dpo": PairRivalParams,
    "modpo": PairRivalParams,
    "raco": RacoParams,
    "amopo": AmopoParams,
    "rewards_in_context": InContextParams,
    "lagrangian_grpo": LagrangianParams,
}
"""What each rival takes."""

TUNING = "tuning"
"""The key beside a rival's hyperparameters that holds the grid to tune over."""

RATE_SHARES = {InContextParams: 1.0, LagrangianParams: 0.05}
"""Learning rates over ours, so that they follow the model as ours does; a half where nothing else stands."""

TUNED_SHARES = (0.25, 1.0)
"""Learning rates of a grid over ours."""


def rival_params(name: str, given: Mapping[str, Any], learning_rate: float) -> StrictModel:
    """The hyperparameters of a rival, with its share of our ``learning_rate`` where it is given none.

    Raises:
        InputError: the first mistake, and what there is.
    """
    model = HYPERPARAMETERS[name]
    own: dict[str, Any] = {}
    if "learning_rate" in model.model_fields:
        own["learning_rate"] = learning_rate * RATE_SHARES.get(model, 0.5)
    return _validated(name, model, own | dict(given))


def tuning_params(name: str, given: Mapping[str, Any], learning_rate: float) -> TuningParams:
    """The grid of a rival, about our ``learning_rate`` where none is given.

    Raises:
        InputError: the first mistake, and what there is.
    """
    rates = {"learning_rates": [learning_rate * share for share in TUNED_SHARES]}
    return _validated(f"{name}.{TUNING}", TuningParams, rates | dict(given))


def check_weights(weights: Sequence[Weights], objectives: Sequence[str]) -> None:
    """Refuse weights that belong to no front of these objectives.

    Raises:
        InputError: one that has not a weight >= 0 per objective, does not sum to 1, or stands there twice.
    """
    for place, one in enumerate(weights):
        if len(one) != len(objectives):
            raise InputError(
                f"weights {list(one)} are {len(one)}, but there are {len(objectives)} objectives: "
                f"{', '.join(objectives)}"
            )
        if min(one) < 0.0 or not isclose(sum(one), 1.0, abs_tol=1e-6):
            raise InputError(
                f"weights {list(one)} must be 0 or more and sum to 1; they sum to {sum(one):g}"
            )
        if one in weights[:place]:
            raise InputError(f"weights {list(one)} stand there twice: remove one")


def check_complete(thresholds: Mapping[str, float], constrained: Sequence[str]) -> None:
    """Refuse thresholds that are not those of all constrained objectives.

    Raises:
        InputError: one is missing, or belongs to no constrained objective.
    """
    if set(constrained) != set(thresholds):
        raise InputError(
            f"a threshold for each of {', '.join(constrained)} is needed, and for nothing else; given were "
            f"{', '.join(thresholds) or 'none'}"
        )


def check_batch(answers: int, batch: int) -> None:
    """Refuse answers to a prompt that do not fill a batch of sequences.

    Raises:
        InputError: says the nearest number that does.
    """
    if batch % answers:
        filling = [n for n in range(2, batch + 1) if batch % n == 0]
        nearest = min(filling, key=lambda n: abs(n - answers), default=None)
        advice = "" if nearest is None else f": set answers to {nearest}"
        raise InputError(
            f"{answers} answers to a prompt do not fill a batch of {batch} (train.fit.batch_size times accumulation){advice}"
        )


def rival_faults(
    given: Mapping[str, Mapping[str, Any]],
    methods: Sequence[str],
    objectives: Sequence[str],
    learning_rate: float,
    batch: int,
) -> list[str]:
    """What no training of the rivals could use, found before any.

    Args:
        given: hyperparameters by rival.
        methods: that are trained.
        objectives: the primary first.
        learning_rate: ours.
        batch: sequences of a step.
    """
    found = []
    for name in HYPERPARAMETERS:
        if name not in given and name not in methods:
            continue
        asked = dict(given.get(name, {}))
        grid = asked.pop(TUNING, None)
        try:
            params = rival_params(name, asked, learning_rate)
            if grid is not None:
                tuning_params(name, grid, learning_rate)
            _check_objectives(params, objectives)
            if isinstance(params, LagrangianParams):
                check_batch(params.answers, batch)
        except InputError as error:
            found.append(f"front.rivals: {error}")
    return found


def _check_objectives(params: StrictModel, objectives: Sequence[str]) -> None:
    """Refuse weights and thresholds of other objectives."""
    if isinstance(params, SweptParams) and params.weights is not None:
        check_weights(params.weights, objectives)
    if isinstance(params, LagrangianParams):
        for thresholds in params.thresholds:
            check_complete(thresholds, objectives[1:])


def _validated(name: str, model: type[Params], given: Mapping[str, Any]) -> Params:
    """Parameters under a name.

    Raises:
        InputError: the first mistake, and what there is.
    """
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        known = ", ".join(model.model_fields)
        raise InputError(f"rival {name}: {where}: {fault['msg']}; it takes {known}") from error
