"""Losses of rivals on pairs: pure functions of log-probabilities and labels."""

import torch
from torch.nn.functional import logsigmoid

Tensor = torch.Tensor


def label_losses(margin: Tensor, signs: Tensor, gap: float) -> Tensor:
    """Cross entropy of each label under a Bradley-Terry margin, (B, K).

        l = -p log sigma(m - gap) - (1 - p) log sigma(-m - gap),   p = (1 + sign)/2

    A tie (sign 0) pulls the margin to 0, unless it weighs nothing (``all_pairs``); with hard labels and no gap this is DPO's loss.

    Args:
        margin: (B,) by how much the first response is preferred, in logits.
        signs: (B, K) in [-1, 1], 1 where the first wins.
        gap: what the winner must be ahead by.
    """
    m, p = margin[:, None], (1.0 + signs) / 2.0
    return -p * logsigmoid(m - gap) - (1.0 - p) * logsigmoid(-m - gap)


def weighted_sum(losses: Tensor, of_objectives: Tensor, of_labels: Tensor) -> Tensor:
    """Mean over pairs of sum_k w_k v_k l_k, a scalar ().

    Args:
        losses: (B, K).
        of_objectives: (K,) weights w.
        of_labels: (B, K) weights v, 0 where there is no label.
    """
    return (losses * of_labels * of_objectives).sum(dim=1).mean()


def implicit_margin(beta: float, first: Tensor, second: Tensor, reference_gap: Tensor) -> Tensor:
    """DPO's margin in logits, (B,): beta times the gap of log-ratios of two responses.

    Args:
        beta: temperature.
        first: (B,) log pi of the first responses.
        second: (B,) of the second.
        reference_gap: (B,) log pi_ref of the first less that of the second.
    """
    return beta * (first - second - reference_gap)


def modpo_margin(own: Tensor, others: Tensor, weight: float) -> Tensor:
    """MODPO's margin in logits, (B,): (own - others)/weight.

    Args:
        own: (B,) DPO's margin of the policy.
        others: (B,) weighted sum of the margins of the other objectives' experts.
        weight: of the objective whose labels are trained on, in (0, 1].
    """
    return (own - others) / weight


def per_token_margin(
    beta: float, first: Tensor, second: Tensor, first_tokens: Tensor, second_tokens: Tensor
) -> Tensor:
    """AMoPO's margin in logits, (B,): beta times the gap of mean log-probabilities per token.

    Args:
        beta: temperature.
        first: (B,) log pi of the first responses.
        second: (B,) of the second.
        first_tokens: (B,) their tokens.
        second_tokens: (B,) of the second.
    """
    return beta * (first / first_tokens - second / second_tokens)
