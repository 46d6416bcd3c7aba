"""Exact values of any policy on the pocket task, mixtures and best of n among them."""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from mopo_pipeline.arrays import Array
from mopo_pipeline.pocket import task as pocket
from mopo_pipeline.policies.valued import Policy


@dataclass(frozen=True)
class PocketValues:
    """What a policy is worth on P prompts.

    Attributes:
        values: (P, K) of each prompt; malformed answers win nothing.
        well_formed: (P,) mass of the task's answers.
        kl: (P,) nats from the reference, both as they are among the task's answers.
    """

    values: Array
    well_formed: Array
    kl: Array


def pocket_values(
    policy: Policy, reference: Policy, prompts: list[str], objectives: tuple[str, ...]
) -> PocketValues:
    """Sum over all answers that the task knows.

    Args:
        policy: to be valued.
        reference: what its divergence is counted from.
        prompts: P distinct prompts of the pocket task.
        objectives: K of its objectives.
    """
    problem = pocket.exact_problem(prompts, objectives)
    rows, texts = [prompts[g] for g in problem.groups], list(problem.texts)
    own, first = policy.answer_logprobs(rows, texts), reference.answer_logprobs(rows, texts)
    shape = (len(prompts), -1)
    won = np.exp(own)[:, None] * np.asarray(problem.win_rates)
    return PocketValues(
        won.reshape(*shape, len(objectives)).sum(axis=1),
        np.exp(own).reshape(shape).sum(axis=1),
        _kl(own.reshape(shape), first.reshape(shape)),
    )


def _kl(own: Array, first: Array) -> Array:
    """KL divergence (P,) of distributions given by their logarithms (P, answers), each up to a constant."""
    log_mass = own - logsumexp(own, axis=1, keepdims=True)
    log_first = first - logsumexp(first, axis=1, keepdims=True)
    mass = np.exp(log_mass)
    gap = np.subtract(log_mass, log_first, out=np.zeros_like(mass), where=mass > 0.0)
    return np.asarray((mass * gap).sum(axis=1))
