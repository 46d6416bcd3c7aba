"""Losses of rivals on K labels of a pair, against hands, closed forms and each other."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from rival_setting import small_setting

from mopo_pipeline.baselines.amopo import per_token_loss
from mopo_pipeline.baselines.conflict import coefficients, most_averse
from mopo_pipeline.baselines.loss_weighted_dpo import weighted_loss
from mopo_pipeline.baselines.losses import label_losses, modpo_margin
from mopo_pipeline.baselines.modpo import margin_loss
from mopo_pipeline.baselines.own_loss import all_pairs
from mopo_pipeline.baselines.pair_trainer import PairBatch
from mopo_pipeline.baselines.pairs import Pairs
from mopo_pipeline.baselines.raco import averse_loss, gradient_products
from mopo_pipeline.baselines.registry import train_rival
from mopo_pipeline.baselines.scalarised_dpo import Ground
from mopo_pipeline.baselines.setting import RivalPolicy, Setting
from mopo_pipeline.baselines.weights import lattice
from mopo_pipeline.language.loading import load_model

BATCH = PairBatch(
    first=torch.tensor([-2.0, -4.0]),
    second=torch.tensor([-3.0, -3.0]),
    reference_gap=torch.tensor([0.0, 1.0]),
    first_tokens=torch.tensor([2, 4]),
    second_tokens=torch.tensor([3, 2]),
    extra={
        "signs": torch.tensor([[1.0, -1.0], [0.0, 1.0]]),
        "label_weights": torch.tensor([[1.0, 1.0], [1.0, 0.0]]),
        "others": torch.tensor([0.25, -0.5]),
    },
)
"""Gaps of log-ratios: (-2+3) - 0 = 1 and (-4+3) - 1 = -2; the second pair ties on one objective, has no label on the other."""


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_the_weighted_loss_is_the_hand_s() -> None:
    """beta 1/2: margins 1/2 and -1; the tie costs half of either side, the missing label nothing."""
    first = 0.75 * softplus(-0.5) + 0.25 * softplus(0.5)
    second = 0.75 * (softplus(1.0) + softplus(-1.0)) / 2
    loss = weighted_loss(BATCH, [], weights=(0.75, 0.25), beta=0.5)
    assert loss.item() == pytest.approx((first + second) / 2, abs=1e-6)


def test_the_loss_per_token_is_the_hand_s() -> None:
    """Per token -1 against -1 and -1 against -3/2: with beta 2 the margins are 0 and 1, with a gap of 1/4."""
    first = 0.75 * softplus(0.25) + 0.25 * softplus(0.25)
    second = 0.75 * (softplus(0.25 - 1.0) + softplus(0.25 + 1.0)) / 2
    loss = per_token_loss(BATCH, [], weights=(0.75, 0.25), beta=2.0, gap=0.25)
    assert loss.item() == pytest.approx((first + second) / 2, abs=1e-6)


def test_the_loss_with_a_margin_of_experts_is_the_hand_s() -> None:
    """beta 1/2, weight 1/2: (1/2 - 1/4)/(1/2) = 1/2 and (-1 + 1/2)/(1/2) = -1."""
    loss = margin_loss(BATCH, [], weight=0.5, beta=0.5)
    assert loss.item() == pytest.approx((softplus(-0.5) + softplus(1.0)) / 2, abs=1e-6)


def test_a_tie_pulls_the_margin_to_nothing() -> None:
    margin = torch.linspace(-3, 3, 61)
    losses = label_losses(margin, torch.zeros(61, 1), 0.0)[:, 0]
    assert int(losses.argmin()) == 30


def test_a_tie_weighs_nothing_and_a_pair_of_ties_is_left_out() -> None:
    """As in RACO's code, where a sign of 0 leaves a constant: on data of many ties all would else be held at the reference."""
    signs = np.array([[1.0, 0.0], [0.0, 0.0], [-0.5, 0.0], [0.0, -1.0]])
    weights = np.array([[1.0, 2.0], [1.0, 1.0], [0.5, 0.0], [0.0, 1.0]])
    pairs = Pairs(None, np.arange(4), np.arange(4, 8), signs, weights)  # type: ignore[arg-type]
    found = all_pairs(Ground(pairs, np.zeros(8)))
    assert (found.first.tolist(), found.second.tolist()) == ([0, 2, 3], [4, 6, 7])
    np.testing.assert_array_equal(found.extra["label_weights"], [[1, 0], [0.5, 0], [0, 1]])
    np.testing.assert_array_equal(found.extra["signs"], signs[[0, 2, 3]])


def test_the_weights_of_other_objectives_are_what_their_experts_already_give() -> None:
    """A policy whose margin is the weighted sum of all experts' own has the live expert's margin left."""
    experts = torch.tensor([[1.0, -2.0], [3.0, 0.5], [-1.0, 2.0]])
    weights = torch.tensor([0.5, 0.3, 0.2])
    own = weights @ experts
    torch.testing.assert_close(
        modpo_margin(own, weights[1:] @ experts[1:], 0.5), experts[0], atol=1e-6, rtol=1e-6
    )


def published_two(gram: np.ndarray, slope: np.ndarray, scale: float) -> float:
    """The closed form of RACO's appendix for K = 2: the share of the first gradient, of at most four candidates."""
    delta = slope[0] - slope[1]
    q2 = gram[0, 0] + gram[1, 1] - 2 * gram[0, 1]
    q1, q0 = 2 * (gram[0, 1] - gram[1, 1]), gram[1, 1]
    roots = np.roots(
        [
            delta**2 * q2 - scale**2 * q2**2,
            delta**2 * q1 - scale**2 * q1 * q2,
            delta**2 * q0 - scale**2 * q1**2 / 4,
        ]
    )
    inside = [float(r.real) for r in roots if abs(r.imag) < 1e-12 and 0 <= r.real <= 1]

    def value(share: float) -> float:
        length = math.sqrt(max(q2 * share**2 + q1 * share + q0, 0.0))
        return float(slope[1] + delta * share + scale * length)

    return min([0.0, 1.0, *inside], key=value)


@pytest.mark.parametrize("seed", range(8))
def test_the_mix_of_two_gradients_is_the_published_closed_form(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gradients = rng.normal(size=(2, 5)) * [[1.0], [10.0 ** rng.integers(-2, 3)]]
    gram, weights = gradients @ gradients.T, np.array([0.7, 0.3])
    scale = 0.4 * math.sqrt(weights @ gram @ weights)
    found = most_averse(gram, gram @ weights, scale)
    assert found[0] == pytest.approx(published_two(gram, gram @ weights, scale), abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_the_mix_of_three_gradients_is_the_best_of_a_fine_grid(seed: int) -> None:
    gradients = np.random.default_rng(seed).normal(size=(3, 4))
    gram, weights = gradients @ gradients.T, np.array([0.5, 0.3, 0.2])
    slope, scale = gram @ weights, 0.4 * math.sqrt(weights @ gram @ weights)
    grid = np.array(lattice(3, 120))
    values = grid @ slope + scale * np.sqrt(np.einsum("ij,jk,ik->i", grid, gram, grid).clip(0))
    found = most_averse(gram, slope, scale)
    value = found @ slope + scale * math.sqrt(found @ gram @ found)
    assert value <= values.min() + 1e-9
    assert found.sum() == pytest.approx(1.0) and (found >= 0).all()


def test_gradients_that_agree_only_lengthen_the_step() -> None:
    """All alike: the update is (1 + c) times the weighted gradient, clipped or not."""
    gram = np.full((3, 3), 2.0)
    weights = np.array([0.5, 0.25, 0.25])
    for clip in (True, False):
        found = coefficients(gram, weights, conflict=0.4, clip=clip)
        assert found.sum() == pytest.approx(1.4)


def test_clipping_keeps_a_light_objective_from_taking_over() -> None:
    """A small gradient against a large one: the unclipped mix is all its own, the clipped one at most its weight."""
    gradients = np.array([[10.0, 0.0], [-1.0, 0.1]])
    gram, weights = gradients @ gradients.T, np.array([0.9, 0.1])
    free = coefficients(gram, weights, conflict=0.4, clip=False)
    clipped = coefficients(gram, weights, conflict=0.4, clip=True)
    assert free[0] == pytest.approx(0.9) and free[1] > 1.0
    update, first = clipped @ gradients, weights @ gradients
    assert np.linalg.norm(update - first) == pytest.approx(0.4 * np.linalg.norm(first))


def test_without_gradients_the_weights_stay() -> None:
    weights = np.array([0.5, 0.5])
    assert coefficients(np.zeros((2, 2)), weights, conflict=0.4, clip=True).tolist() == [0.5, 0.5]


def test_the_gradient_of_raco_s_loss_is_its_update() -> None:
    """Oracle: the gradients of both objectives one by one, combined by their coefficients."""
    theta = torch.tensor([0.3, -0.2, 0.5], requires_grad=True)
    features = torch.tensor([[1.0, 0.0, 2.0], [0.5, -1.0, 0.0]])
    batch = BATCH._replace(
        first=features @ theta,
        extra=dict(BATCH.extra) | {"label_weights": torch.ones(2, 2)},
    )
    told = {"beta": 0.5, "conflict": 0.4, "clip": True}
    averse_loss(batch, [theta], weights=(0.6, 0.4), **told).backward()  # type: ignore[arg-type]
    singles = []
    for k in range(2):
        free = theta.detach().clone().requires_grad_()
        one = tuple(float(k == i) for i in range(2))
        weighted_loss(batch._replace(first=features @ free), [], weights=one, beta=0.5).backward()
        assert free.grad is not None
        singles.append(free.grad.numpy().astype(float))
    stacked = np.stack(singles)
    fixed = coefficients(stacked @ stacked.T, np.array([0.6, 0.4]), conflict=0.4, clip=True)
    assert theta.grad is not None
    np.testing.assert_allclose(theta.grad.numpy(), fixed @ stacked, atol=1e-6)


def test_inner_products_are_those_of_whole_gradients() -> None:
    a, b = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0], requires_grad=True)
    losses = torch.stack([a.sum() * 2, (a * torch.tensor([1.0, -1.0])).sum() + b.sum()])
    assert gradient_products(losses, [a, b]).tolist() == [[8.0, 0.0], [0.0, 3.0]]


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return small_setting(tmp_path_factory.mktemp("pairs"))


def weights_of(point: RivalPolicy) -> dict[str, torch.Tensor]:
    folder = point.trainings[-1].folder
    assert point.status == "done" and isinstance(folder, Path)
    return dict(load_model(folder)[0].state_dict())


@pytest.mark.slow
def test_modpo_with_all_weight_on_one_objective_trains_its_expert(setting: Setting) -> None:
    [point] = train_rival("modpo", setting, {"weights": ((0.0, 1.0, 0.0),), "learning_rate": 0.01})
    expert = load_model(point.trainings[1].folder)[0].state_dict()  # type: ignore[arg-type]
    for name, tensor in weights_of(point).items():
        torch.testing.assert_close(tensor, expert[name], atol=1e-4, rtol=1e-3)
    assert len(point.trainings) == 4


@pytest.mark.slow
def test_raco_that_may_not_leave_the_weighted_gradient_is_loss_weighted_dpo(
    setting: Setting,
) -> None:
    asked = {"weights": ((0.5, 0.25, 0.25),), "learning_rate": 0.01}
    [free] = train_rival("raco", setting, asked | {"conflict": 0.4})
    [bound] = train_rival("raco", setting, asked | {"conflict": 0.0})
    [weighted] = train_rival("loss_weighted_dpo", setting, asked)
    reference = load_model(setting.reference)[0].state_dict()
    freely, other = weights_of(free), weights_of(weighted)
    for name, tensor in weights_of(bound).items():
        torch.testing.assert_close(tensor, other[name], atol=1e-4, rtol=1e-3)
    assert any((freely[n] - other[n]).abs().max() > 1e-3 for n in other)
    assert any((other[n] - reference[n]).abs().max() > 1e-3 for n in other)


@pytest.mark.slow
def test_amopo_trains_and_lasts_as_long_as_the_others(setting: Setting) -> None:
    [point] = train_rival("amopo", setting, {"weights": ((0.5, 0.5, 0.0),)})
    assert point.status == "done"
    assert point.budget.sequences == setting.fit.steps * setting.fit.batch_size
