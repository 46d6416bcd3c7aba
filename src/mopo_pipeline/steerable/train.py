"""The making of a steerable policy: rounds of weighted cloning over the whole lattice, then what it is worth at each point."""

import hashlib
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.language.adapters import save_merged
from mopo_pipeline.language.control import context_with, control_words, with_words
from mopo_pipeline.language.lengths import ENDED, ended_column
from mopo_pipeline.language.loading import load_model, model_digest
from mopo_pipeline.language.sealed import damage, handed_over, seal
from mopo_pipeline.launching.run import TrainingRun, train
from mopo_pipeline.mopo.confidence import degrees_of_freedom, each_level, quantile
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.fit import FIT_WITHOUT_EFFECT
from mopo_pipeline.parameters.lag import FreshLag
from mopo_pipeline.parameters.plan import PlanParams
from mopo_pipeline.parameters.steerable import SteerableParams
from mopo_pipeline.parameters.train import TrainParams
from mopo_pipeline.plan.posed import pooling_of
from mopo_pipeline.policies.valued import Budget
from mopo_pipeline.source import code_of_module
from mopo_pipeline.steerable.lattice import lattice
from mopo_pipeline.steerable.policy import Point, Steerable
from mopo_pipeline.steerable.rounds import Ground, by_prompt, draw, first_round, next_round
from mopo_pipeline.streams import refresh_seed
from mopo_pipeline.training.fresh_judge import fresh_judge

log = logging.getLogger(__name__)

NAME = "steerable"


@dataclass(frozen=True)
class Given:
    """What a steerable policy is made from.

    Attributes:
        responses: every response with its split.
        win_rates: a row per response.
        multipliers: (P, K-1) of solved plans, which the lattice spans.
        reference: directory of the reference policy.
        context: tokens of prompt and response.
        preference_model: directory, judge of fresh answers unless ``train.lag`` names another one.
        task, plan, train: parameters.
    """

    responses: pd.DataFrame
    win_rates: pd.DataFrame
    multipliers: Array
    reference: Path
    context: int
    preference_model: Path
    task: TaskParams
    plan: PlanParams
    train: TrainParams

    @classmethod
    def of(
        cls,
        front_plan: Mapping[str, Any],
        tables: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
        models: tuple[Path, Path],
        params: tuple[TaskParams, PlanParams, TrainParams],
    ) -> "Given":
        """What artifacts give.

        Args:
            front_plan: as ``plan_front`` left it.
            tables: responses, win rates, log-probabilities of the reference.
            models: directories of the reference and of the preference model.
            params: of task, plan and training.
        """
        (responses, win_rates, scored), (reference, judge) = tables, map(Path, models)
        multipliers = multipliers_of(front_plan, params[0].names)
        context = int(scored["context"].iloc[0])
        return cls(responses, win_rates, multipliers, reference, context, judge, *params)

    @property
    def lag(self) -> FreshLag:
        """How fresh answers are drawn and judged; that of the separate policies where theirs are fresh."""
        return self.train.lag if isinstance(self.train.lag, FreshLag) else FreshLag()

    def rounds(self, params: SteerableParams) -> int:
        """Rounds on fresh answers: none where the separate policies draw none."""
        return params.rounds if isinstance(self.train.lag, FreshLag) else 0


def steerable_policy(given: Given, params: SteerableParams) -> Steerable:
    """The policy, made now or found whole in ``train.work_dir``.

    Raises:
        InputError: one objective alone, or a judge that cannot judge.
        TrainingStoppedError: training could not usefully go on.
    """
    if len(given.task.names) < 2:
        raise InputError("one objective has no thresholds to steer by: add one to task.objectives")
    target = given.train.work_dir / f"{NAME}-{_digest(given, params)}"
    if damage(target) is None:
        log.info("%s is up to date, reusing %s", NAME, target)
        return Steerable.read(target)
    begun = time.perf_counter()
    ground = _ground(given, params)
    trained, spent = _trained(ground, given, params)
    points, measured = measure(ground, trained, given, params)
    spent = replace(spent + measured, seconds=time.perf_counter() - begun)
    model, tokenizer = load_model(trained, device="cpu")
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    made = Steerable(target, given.task.names, points, spent)
    made.write()
    seal(target)
    return made


def multipliers_of(front_plan: Mapping[str, Any], objectives: tuple[str, ...]) -> Array:
    """Multipliers (P, K-1) of a front's plans that were solved."""
    solved = [point["multipliers"] for point in front_plan["points"] if point["multipliers"]]
    found = [[row[name] for name in objectives[1:]] for row in solved]
    return np.array(found, dtype=np.float64).reshape(len(found), len(objectives) - 1)


def measure(
    ground: Ground, model: Path, given: Given, params: SteerableParams
) -> tuple[tuple[Point, ...], Budget]:
    """What the policy is worth at every point of the lattice, on validation prompts where there are any."""
    unseen = given.responses.loc[given.responses["split"] == "validation"]
    rows = ground.rows if unseen.empty else unseen
    opponents = by_prompt(rows)
    asked = list(opponents)[: given.lag.validation_prompts or None]
    of, count = ground.lattice, len(ground.lattice.levels)
    levels = np.repeat(np.arange(count), len(asked))
    seed = refresh_seed(given.task.seed, 0, validation=True)
    drawn = draw(ground, model, asked * count, levels, params.answers, seed, opponents)
    cube = drawn.win_rates.reshape(count, len(asked), params.answers, -1).mean(axis=2)
    values = cube.mean(axis=1)
    error = cube.std(axis=1, ddof=1) / np.sqrt(len(asked)) if len(asked) > 1 else 0.0 * values
    level = each_level(params.confidence, len(given.task.names) - 1)
    bounds = values - quantile(level, degrees_of_freedom(np.ones(len(asked)))) * error
    return tuple(
        Point(
            tuple(of.levels[j].tolist()),
            tuple(of.multipliers[j].tolist()),
            tuple(values[j].tolist()),
            tuple(bounds[j, 1:].tolist()),
        )
        for j in range(count)
    ), drawn.spent


def _ground(given: Given, params: SteerableParams) -> Ground:
    names, lag = given.task.names, given.lag
    known = given.win_rates.loc[given.win_rates["split"] == "train"].reset_index(drop=True)
    texts = given.responses[["response_id", "prompt", "response"]].assign(
        **{ENDED: ended_column(given.responses)}
    )
    rows = known.merge(texts, on="response_id", how="left", validate="one_to_one")
    of = lattice(given.multipliers, params.points)
    initial = handed_over(".steerable-initial-")
    return Ground(
        rows=rows,
        win_rates=known[list(names)].to_numpy(dtype=np.float64),
        objectives=names,
        lattice=of,
        model=with_words(given.reference, names[1:], of.count, given.task.seed, initial),
        judge=fresh_judge(lag, names, given.preference_model),
        lag=lag,
        tau=given.plan.tau,
        pooling=pooling_of(given.plan),
        context=given.context,
        seed=given.task.seed,
    )


def _trained(ground: Ground, given: Given, params: SteerableParams) -> tuple[Path, Budget]:
    """The model after all rounds, an adapter folded in, and what they cost."""
    whole = given.train.fit.over(len(ground.rows))
    rounds = given.rounds(params)
    steps = max(1, round(params.trainings * whole.steps / (rounds + 1)))
    fit = whole.model_copy(update={"steps": steps})
    size = fit.batch_size * fit.accumulation
    told = control_words(ground.objectives[1:], ground.lattice.levels[-1].tolist())
    model, spent = ground.model, Budget()
    for number in range(rounds + 1):
        if number:
            rows, cost = next_round(ground, model, number)
        else:
            rows, cost = first_round(ground, steps * size), Budget()
        run = TrainingRun(
            NAME,
            ground.model,
            rows,
            fit,
            given.task.seed + number,
            lora=given.train.lora,
            context=context_with(ground.model, told, given.context),
            start=model if number else None,
        )
        model = train(run, given.train.work_dir).directory
        spent += cost + Budget(sequences=steps * size)
    if (model / "adapter_config.json").is_file():
        some = ground.encoded.subset(np.arange(min(8, len(ground.rows))))
        model = save_merged(*load_model(model, device="cpu"), some, given.train.work_dir)
    return model, spent


def _digest(given: Given, params: SteerableParams) -> str:
    """Twelve hex digits of everything that decides the policy."""
    fit = given.train.fit.model_dump(mode="json", exclude=set(FIT_WITHOUT_EFFECT))
    lora = None if given.train.lora is None else given.train.lora.model_dump(mode="json")
    told: list[Any] = [
        code_of_module("mopo_pipeline.steerable.train").digest,
        params.model_dump(mode="json", exclude={"thresholds"}),
        given.task.names,
        given.task.seed,
        given.plan.model_dump(mode="json", include={"tau", "normalisation", "kappa"}),
        fit,
        lora,
        given.train.lag.model_dump(mode="json"),
        given.context,
        given.multipliers.tolist(),
        model_digest(given.reference),
        model_digest(given.preference_model),
    ]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for table in (given.responses[["prompt", "response", "split"]], given.win_rates):
        digest.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    return digest.hexdigest()[:12]
