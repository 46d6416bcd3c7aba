"""The weighted negative log-likelihood, equation (6), held against numbers derived by hand."""

import inspect
import math

import pytest
import torch
import transformers

from mopo_pipeline.training.loss import weighted_nll
from mopo_pipeline.training.sealing import SealingTrainer
from mopo_pipeline.training.trainer import OVERRIDDEN, WeightedTrainer


def test_each_row_costs_its_weight_times_its_surprise_per_mean_token() -> None:
    """Golden: two rows, a policy that is a table of token probabilities.

    Row 0 has the tokens with probabilities 1/2, 1/4: log pi = -(log 2 + log 4) = -3 log 2.
    Row 1 has one token of probability 1/8: log pi = -3 log 2 as well. Its weight is 1/3 of row 0's.
    The mean response length is (2 + 1)/2 = 3/2. So row 0 costs 2 * 3 log 2 / 1.5 = 4 log 2 with weight 2
    and row 1 costs 2/3 * 3 log 2 / 1.5 = 4/3 log 2.
    """
    logprob = torch.tensor([math.log(1 / 2) + math.log(1 / 4), math.log(1 / 8)])
    cost = weighted_nll(logprob, torch.tensor([2.0, 2 / 3]), 1.5)
    assert cost.shape == (2,)
    torch.testing.assert_close(cost, torch.tensor([4 * math.log(2), 4 / 3 * math.log(2)]))


def test_its_gradient_teaches_the_weighted_frequencies() -> None:
    """Golden: three rows of one token each, a policy of free logits, weights 3, 1, 0.

    Of -sum_i w_i log softmax(z)_i the gradient is (sum w) softmax(z) - w: at z = 0 it is
    (4/3 - 3, 4/3 - 1, 4/3 - 0) = (-5/3, 1/3, 4/3). It vanishes at softmax(z) = w / sum w = (3/4, 1/4, 0),
    the reference's mass times the importance ratio: the policy of equation (2).
    """
    weight = torch.tensor([3.0, 1.0, 0.0])
    logits = torch.zeros(3, requires_grad=True)
    weighted_nll(logits.log_softmax(0), weight, 1.0).sum().backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.tensor([-5 / 3, 1 / 3, 4 / 3]))
    taught = torch.tensor([3 / 4, 1 / 4, 1e-30]).log().requires_grad_()
    weighted_nll(taught.log_softmax(0), weight, 1.0).sum().backward()
    assert taught.grad is not None
    torch.testing.assert_close(taught.grad, torch.zeros(3), atol=1e-6, rtol=0)


def test_a_row_of_weight_zero_costs_nothing_and_teaches_nothing() -> None:
    logprob = torch.tensor([-700.0, -1.0], requires_grad=True)
    cost = weighted_nll(logprob, torch.tensor([0.0, 1.0]), 2.0)
    cost.sum().backward()
    assert cost.tolist() == [0.0, 0.5]
    assert logprob.grad is not None
    assert logprob.grad.tolist() == [0.0, -0.5]


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_private_methods_of_the_library_take_what_ours_take(name: str) -> None:
    """Nothing promises that they stay as they are: a release that changes them fails here."""
    theirs = inspect.signature(getattr(transformers.Trainer, name)).parameters
    ours = inspect.signature(getattr(WeightedTrainer, name)).parameters
    assert {n: p.kind for n, p in ours.items()} == {n: p.kind for n, p in theirs.items()}


def test_every_private_method_that_is_replaced_is_listed() -> None:
    own = {
        name
        for level in (WeightedTrainer, SealingTrainer)
        for name in vars(level)
        if name.startswith("_")
        and not name.startswith("__")
        and hasattr(transformers.Trainer, name)
    }
    assert own == set(OVERRIDDEN)
