"""What a policy is worth, prompt by prompt, by the same evaluation whoever made it.

On the pocket task every answer is enumerated and values are exact; elsewhere answers are drawn and judged by the
judge that is trusted most, or, where it cannot tell, labels of the data's test answers speak, each policy's by its ratios.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.evaluation import judging
from mopo_pipeline.evaluation.judge_quality import judge_quality
from mopo_pipeline.evaluation.rows import EXACT, LABELS
from mopo_pipeline.evaluation.sampling import longest_answer, prompts_of_test_split
from mopo_pipeline.fronts.candidates import ModelPolicy
from mopo_pipeline.fronts.labelled import Labelled, cannot_tell, labelled
from mopo_pipeline.judges.base import Judge, Scorer, score
from mopo_pipeline.language.generation import Answer
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.parameters.front import AUTO, JUDGE, Estimator
from mopo_pipeline.pareto.intervals import sum_by
from mopo_pipeline.pocket import task as pocket
from mopo_pipeline.policies.valued import KnownDivergence, OfModel, Policy
from mopo_pipeline.sampling_units import sampling_units
from mopo_pipeline.streams import completion_seed

POCKET = "pocket"

LEAST_REST = 1e-6
"""Mass of answers beside those of the task that rounding cannot tell from none."""


@dataclass(frozen=True)
class Valued:
    """What a policy is worth.

    Attributes:
        per_prompt: (P, K) win rates, prompts in the order they were asked in.
        kl: (P,) nats per answer from the reference, likewise.
        well_formed: share of answers the task's grammar accepts; NaN without one.
        samples: prompt_id, prompt, response, ``score_<objective>``; a row per prompt shown.
        carried: of values by labels, what ``share_carried`` says of them; else NaN.
    """

    per_prompt: Array
    kl: Array
    well_formed: float
    samples: pd.DataFrame
    carried: float = float("nan")


@dataclass(frozen=True)
class Ground:
    """What every policy is valued on.

    Attributes:
        asked: prompt_id and prompt of P test prompts.
        responses: of the data.
        units: (P,) what each of these prompts was drawn as.
        objectives: K names.
        params: of the evaluation.
        seed: of the task.
        reference: where KL is counted from.
        judge: trusted most; None where there is none.
        quality: of the judges by name.
        longest: tokens of an answer.
        shown: prompts whose answers are kept.
        labels: that values rest on; None where answers are enumerated or judged.
    """

    asked: pd.DataFrame
    responses: pd.DataFrame
    units: pd.Series
    objectives: tuple[str, ...]
    params: EvaluateParams
    seed: int
    reference: Policy
    judge: Judge | None
    quality: dict[str, Any]
    longest: int
    shown: int
    labels: Labelled | None = None

    @property
    def estimator(self) -> str:
        """Whose values these are, as ``objective_values`` names it."""
        if self.enumerated:
            return EXACT
        return LABELS if self.labels is not None or self.judge is None else self.judge.name

    @property
    def enumerated(self) -> bool:
        """Whether every answer is known."""
        return str(self.responses["source"].iloc[0]) == POCKET

    @cached_property
    def answers(self) -> pocket.ExactProblem:
        """Every answer to every prompt, of the pocket task."""
        return pocket.exact_problem(self.asked["prompt"].tolist(), self.objectives)

    @cached_property
    def first(self) -> Array:
        """Log-probabilities (P, A) of these answers under the reference."""
        return self.enumerated_logprobs(self.reference)

    def enumerated_logprobs(self, policy: Policy) -> Array:
        """Log-probabilities (P, A) of these answers under a policy."""
        prompts = self.asked["prompt"].tolist()
        rows = [prompts[g] for g in self.answers.groups]
        return policy.answer_logprobs(rows, list(self.answers.texts)).reshape(len(prompts), -1)

    def value(self, policy: Policy) -> Valued:
        """Values, divergence and a few answers of a policy."""
        if self.enumerated:
            return _enumerated(self, policy)
        return _judged(self, policy) if self.labels is None else _labelled(self, policy)

    def refuses(self, policy: Policy) -> str:
        """Why a policy has no value here; empty where it has one."""
        if self.labels is None or not isinstance(policy, KnownDivergence):
            return ""
        return (
            "labels value a policy by the probability it gives the data's answers, and this one gives none: "
            "front.estimator=judge"
        )

    @property
    def altered(self) -> bool:
        """Whether the decoder draws from something else than the policies as they are."""
        size = self.params.sampling
        return size.temperature != 1.0 or size.top_p < 1.0

    def drawn(
        self, policy: Policy, prompts: list[str], n: int, *, as_it_is: bool = False
    ) -> list[list[Answer]]:
        """``n`` answers to each prompt by the decoder all methods share, or by the policy as it is."""
        size = self.params.sampling
        return policy.sample(
            prompts,
            n=n,
            max_new_tokens=self.longest,
            temperature=1.0 if as_it_is else size.temperature,
            top_p=1.0 if as_it_is else size.top_p,
            batch_size=size.batch_size,
            seed=completion_seed(self.seed, policy=True),
        )


def ground(
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    reference_policy: Path,
    evaluation_model: Path,
    task: TaskParams,
    params: EvaluateParams,
    shown: int,
    estimator: Estimator = AUTO,
) -> Ground:
    """The ground of all policies of a front.

    Args:
        responses: of the data.
        comparisons: labelled pairs.
        reference_policy: where KL and ratios are counted from.
        evaluation_model: fitted on validation labels.
        task: its objectives and seed.
        params: of the evaluation.
        shown: prompts whose answers are kept.
        estimator: the judge, labels within prompts, or these where the judge cannot tell; not looked at where every answer
            is known.

    Raises:
        InputError: answers can neither be enumerated nor judged, and no labels speak.
    """
    from mopo_pipeline.language.loading import load_tokenizer

    source = str(responses["source"].iloc[0])
    asked = prompts_of_test_split(responses, params.sampling.prompts, task.seed)
    fitted = judging.evaluation_model(evaluation_model)
    judges = judging.choose_judges(source, fitted, task.names, params.judges)
    quality = {}
    if judges and source != POCKET:
        answers = responses.merge(asked, on=["prompt_id", "prompt"])
        shape = answers.assign(
            completion_id=answers["response_id"], policy="policy", completion=answers["response"]
        )
        quality = {
            judges[0].name: judge_quality(
                judges[0], responses, comparisons, shape, params, task.seed, model=evaluation_model
            )
        }
    size = params.sampling
    longest = size.max_new_tokens or longest_answer(load_tokenizer(reference_policy), responses)
    found = Ground(
        asked,
        responses,
        asked["prompt_id"].map(sampling_units(responses)),
        task.names,
        params,
        task.seed,
        ModelPolicy(reference_policy, params.batch_tokens),
        judges[0] if judges else None,
        quality,
        longest,
        shown,
    )
    return found if source == POCKET else _by_estimator(found, comparisons, estimator)


def _by_estimator(ground: Ground, comparisons: pd.DataFrame, estimator: Estimator) -> Ground:
    """The ground, on the prompts that labels speak of where values are theirs.

    Raises:
        InputError: there is neither a judge nor a label, or not what was asked for.
    """
    judge = ground.judge
    if judge is not None and (
        estimator == JUDGE
        or (estimator == AUTO and not cannot_tell(ground.quality[judge.name], ground.objectives))
    ):
        return ground
    ids = ground.asked["prompt_id"].tolist()
    found = labelled(ground.responses, comparisons, ids, ground.objectives, ground.reference)
    if judge is None and (found is None or estimator == JUDGE):
        raise InputError(
            "the front's policies have no judge: set evaluate.judges.reward_models, or raise "
            "ingest.split.validation so that a preference model can judge"
        )
    if found is None:
        if estimator == LABELS:
            raise InputError(
                "front.estimator=labels: no test prompt has labels of every objective; "
                "--params=front.estimator=judge"
            )
        return ground
    asked = ground.asked.set_index("prompt_id").loc[found.prompt_ids].reset_index()
    units = asked["prompt_id"].map(sampling_units(ground.responses))
    return replace(ground, asked=asked, units=units, labels=found)


def _enumerated(ground: Ground, policy: Policy) -> Valued:
    own, first = ground.enumerated_logprobs(policy), ground.first
    win_rates = np.asarray(ground.answers.win_rates).reshape(*own.shape, -1)
    mass = np.exp(own)
    return Valued(
        np.einsum("pa,pak->pk", mass, win_rates),
        divergence(own, first),
        float(mass.sum(axis=1).mean()),
        _shown(ground, policy),
    )


def divergence(own: Array, first: Array) -> Array:
    """KL (P,) between distributions over answers, given by the logarithms (P, A) of those that are known.

    Everything else is one answer more, with the mass that is missing to 1: a policy that gives such answers where the other
    does not has left it. At most the KL of the whole distributions.
    """

    def with_rest(logarithms: Array) -> Array:
        """Logarithms (P, A + 1)."""
        rest = 1.0 - np.exp(logarithms).sum(axis=1, keepdims=True)
        found = np.hstack([logarithms, np.log(np.maximum(rest, LEAST_REST))])
        return np.asarray(found - logsumexp(found, axis=1, keepdims=True))

    log_own, log_first = with_rest(own), with_rest(first)
    mass = np.exp(log_own)
    gap = np.subtract(log_own, log_first, out=np.zeros_like(mass), where=mass > 0.0)
    return np.asarray((mass * gap).sum(axis=1))


def _judged(ground: Ground, policy: Policy) -> Valued:
    assert ground.judge is not None
    prompts, n = ground.asked["prompt"].tolist(), ground.params.sampling.samples
    drawn = ground.drawn(policy, prompts, n)
    texts = [answer.text for some in drawn for answer in some]
    table = ground.asked.loc[ground.asked.index.repeat(n)].reset_index(drop=True)
    table = table.assign(completion=texts, completion_id=[f"{i:06d}" for i in range(len(table))])
    scored = judging.judge_completions(table, ground.responses, [ground.judge], ground.quality)
    rates = scored[[f"{name}_win_rate" for name in ground.objectives]].to_numpy(dtype=np.float64)
    codes = np.repeat(np.arange(len(prompts)), n)
    first = np.arange(min(ground.shown, len(prompts))) * n
    samples = table.iloc[first][["prompt_id", "prompt"]].assign(response=[texts[i] for i in first])
    for name in ground.objectives:
        samples[f"score_{name}"] = scored[name].to_numpy()[first]
    kl = _drawn_divergence(ground, policy, prompts, drawn)
    return Valued(sum_by(rates, codes, len(prompts)) / n, kl, np.nan, samples)


def _labelled(ground: Ground, policy: Policy) -> Valued:
    assert ground.labels is not None
    prompts, n = ground.asked["prompt"].tolist(), ground.params.sampling.samples
    kl = _drawn_divergence(ground, policy, prompts, ground.drawn(policy, prompts, n))
    values, carried = ground.labels.values(policy)
    return Valued(values, kl, np.nan, _shown(ground, policy), carried)


def _drawn_divergence(
    ground: Ground, policy: Policy, prompts: list[str], drawn: list[list[Answer]]
) -> Array:
    """KL (P,) from the reference, nats per answer, by the policy's own answers to P prompts, cut ones as they were cut.

    It is that of the policy as it is: where the decoder draws from something else, answers are drawn again without.
    """
    if isinstance(policy, KnownDivergence):
        return np.full(len(prompts), policy.divergence())
    from mopo_pipeline.language.divergence import Way, answer_divergences
    from mopo_pipeline.language.tokens import encode

    assert isinstance(policy, OfModel)
    assert isinstance(ground.reference, OfModel)
    n = len(drawn[0])
    if ground.altered:
        drawn = ground.drawn(policy, prompts, n, as_it_is=True)
    answers = [answer for some in drawn for answer in some]
    asked = np.repeat(np.array(prompts, dtype=object), n).tolist()
    (model, tokenizer), (first, spelling) = policy.load(), ground.reference.load()
    texts, ended = [a.text for a in answers], [a.ended for a in answers]
    ways = [
        Way(share, encode(tokenizer, told, texts, None, ended))
        for share, told in policy.ways(asked)
    ]
    found = answer_divergences(
        model,
        ways,
        first,
        encode(spelling, asked, texts, None, ended),
        batch_tokens=ground.params.batch_tokens,
    )
    return np.asarray(found.reshape(len(prompts), n).mean(axis=1))


def _shown(ground: Ground, policy: Policy) -> pd.DataFrame:
    """An answer to each of the first prompts, with the judge's scores."""
    some = ground.asked.head(ground.shown).reset_index(drop=True)
    names = [f"score_{name}" for name in ground.objectives]
    if some.empty:
        return pd.DataFrame(columns=["prompt_id", "prompt", "response", *names])
    prompts = some["prompt"].tolist()
    texts = [answers[0].text for answers in ground.drawn(policy, prompts, 1)]
    table = some[["prompt_id", "prompt"]].assign(response=texts)
    if not isinstance(ground.judge, Scorer):
        return table.assign(**dict.fromkeys(names, np.nan))
    scores = score(ground.judge, prompts, texts)
    return table.assign(**{name: scores[:, k] for k, name in enumerate(names)})
