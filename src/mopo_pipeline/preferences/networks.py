"""Reward networks: linear ones fitted exactly, others by stochastic gradients that score each answer once."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.language.threads import use_threads_for
from mopo_pipeline.parameters.preferences import PreferenceModelParams
from mopo_pipeline.preferences.features import Features
from mopo_pipeline.progress import track

if TYPE_CHECKING:
    import torch

PENALTIES = (0.3, 0.1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
"""Quadratic penalties of linear rewards that are tried, the strongest first."""

GRADIENT = 1e-4
"""Largest slope of a penalised loss at what counts as its minimum."""

ROWS = 4096
"""Rows that become dense at a time."""


def reward_network(n_features: int, n_objectives: int, hidden: int) -> "torch.nn.Module":
    """Linear rewards, plus a small hidden layer unless ``hidden`` is 0."""
    from torch import nn

    if hidden == 0:
        return nn.Linear(n_features, n_objectives, bias=False)
    return nn.Sequential(
        nn.Linear(n_features, hidden),
        nn.SiLU(),
        nn.Linear(hidden, hidden),
        nn.SiLU(),
        nn.Linear(hidden, n_objectives),
    )


def rewards_of(network: "torch.nn.Module", table: Features) -> Array:
    """Uncalibrated rewards (n, K) of one network for standardised features."""
    import torch
    from torch import nn

    if isinstance(network, nn.Linear):
        return np.asarray(table @ network.weight.detach().numpy().T, dtype=np.float64)
    with torch.no_grad():
        parts = [
            network(torch.from_numpy(_dense(table, slice(start, start + ROWS)))).double().numpy()
            for start in range(0, table.shape[0], ROWS)
        ]
    return np.concatenate(parts)


def linear_networks(
    table: Features,
    pairs: Index,
    labels: Array,
    weights: Array,
    folds: Index,
    description: str = "preference model, objectives",
) -> list["torch.nn.Module"]:
    """Linear rewards of each fold of comparisons from those of the others, penalised and minimised to the end.

    The penalty of an objective is the one of ``PENALTIES`` with the least loss on the folds left out,
    tried from the strongest until the loss rises.

    Args:
        table: (n, features) standardised.
        pairs: (M, 2) rows compared.
        labels: (M, K) in [0, 1], NaN missing.
        weights: (M, K) mass of each comparison for each objective.
        folds: (M,) 0 to J-1.
        description: what the progress bar says.

    Returns:
        J networks of K rewards.
    """
    import torch

    rows, place = np.unique(pairs, return_inverse=True)
    compared, own = table[rows], place.reshape(-1, 2)
    found = [
        _linear_rewards(compared, own, label, weight, folds)
        for label, weight in track(list(zip(labels.T, weights.T, strict=True)), description)
    ]
    networks = []
    for member in np.stack(found, axis=1).astype(np.float32):
        network = reward_network(table.shape[1], labels.shape[1], 0)
        network.load_state_dict({"weight": torch.from_numpy(member)})
        networks.append(network.eval())
    return networks


def _linear_rewards(
    table: Features, pairs: Index, labels: Array, weights: Array, folds: Index
) -> Array:
    """Rewards (J, features) of one objective, of every fold without it, at the best penalty."""
    known = ~np.isnan(labels) & (weights > 0)
    turned = table.T.tocsr() if not isinstance(table, np.ndarray) else table.T
    size, count = table.shape[1], int(folds.max(initial=0)) + 1
    best, least, now = np.zeros((count, size)), np.inf, np.zeros((count, size))
    for penalty in PENALTIES:
        current = 0.0
        for j in range(count):
            use, held = known & (folds != j), known & (folds == j)
            if use.any():
                now[j] = _bradley_terry(
                    table, turned, pairs[use], labels[use], weights[use], penalty, now[j]
                )
            gap = np.diff(-(table @ now[j])[pairs[held]], axis=1)[:, 0]
            current += float(weights[held] @ (np.logaddexp(0.0, gap) - labels[held] * gap))
        if current >= least:
            break
        best, least = now.copy(), current
    return best


def _bradley_terry(
    table: Features,
    turned: Any,
    pairs: Index,
    labels: Array,
    weights: Array,
    penalty: float,
    start: Array,
) -> Array:
    """Coefficients (features,) of least mean cross-entropy plus ``penalty / 2`` times their square."""
    mass = weights / weights.sum()
    first, second = pairs.T
    count = table.shape[0]

    def loss(beta: Array) -> tuple[float, Array]:
        scores = table @ beta
        gap = scores[first] - scores[second]
        value = mass @ (np.logaddexp(0.0, gap) - labels * gap) + penalty / 2 * (beta @ beta)
        surprise = mass * (expit(gap) - labels)
        slope = np.bincount(first, surprise, count) - np.bincount(second, surprise, count)
        return float(value), turned @ slope + penalty * beta

    found = minimize(loss, start, method="L-BFGS-B", jac=True, options={"gtol": GRADIENT})
    return np.asarray(found.x)


def fit_network(
    table: Features,
    pairs: Index,
    labels: Array,
    weights: Array,
    stopping: NDArray[np.bool_],
    params: PreferenceModelParams,
    seed: int,
) -> "torch.nn.Module":
    """Fit one network by masked cross-entropy, stopping when loss on the others no longer falls.

    Args:
        table: (n, features) standardised.
        pairs: (M, 2) rows compared.
        labels: (M, K) in [0, 1], NaN missing.
        weights: (M, K) mass of each comparison for each objective.
        stopping: (M,) comparisons that decide when to stop.
        params: sizes and rates.
        seed: of initial weights and batch order.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = reward_network(table.shape[1], labels.shape[1], params.hidden)
    use_threads_for(sum(weights.numel() for weights in network.parameters()))
    loss = _cross_entropy(network, table, pairs, labels, weights)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=params.learning_rate, weight_decay=params.weight_decay
    )
    fit_rows = torch.from_numpy(np.flatnonzero(~stopping))
    stop_rows = torch.from_numpy(np.flatnonzero(stopping))
    best, best_state, since = np.inf, None, 0
    for _ in range(params.epochs):
        order = fit_rows[torch.randperm(len(fit_rows), generator=generator)]
        for batch in order.split(params.batch_size):
            optimiser.zero_grad()
            loss(batch).backward()
            optimiser.step()
        with torch.no_grad():
            current = float(loss(stop_rows)) if len(stop_rows) else -1.0
        if current < best - 1e-5:
            best, since = current, 0
            best_state = {k: v.clone() for k, v in network.state_dict().items()}
        else:
            since += 1
            if since >= params.patience and len(stop_rows):
                break
    if best_state is not None and len(stop_rows):
        network.load_state_dict(best_state)
    return network.eval()


def _cross_entropy(
    network: "torch.nn.Module",
    table: Features,
    pairs: Index,
    labels: Array,
    weights: Array,
) -> Callable[["torch.Tensor"], "torch.Tensor"]:
    """Mean cross-entropy of some comparisons (m,), missing labels left out, as a function of which."""
    import torch

    y, w = torch.from_numpy(labels).float(), torch.from_numpy(weights).float()
    mask = ~torch.isnan(y)
    target = torch.nan_to_num(y, nan=0.5)

    def loss(rows: "torch.Tensor") -> "torch.Tensor":
        answers, place = np.unique(pairs[rows.numpy()], return_inverse=True)
        rewards = network(torch.from_numpy(_dense(table, answers)))
        sides = rewards[torch.from_numpy(place.reshape(-1, 2))]
        gap = sides[:, 0] - sides[:, 1]
        each = torch.nn.functional.binary_cross_entropy_with_logits(
            gap, target[rows], reduction="none"
        )
        mass = mask[rows] * w[rows]
        return (each * mass).sum() / mass.sum().clamp_min(1e-12)

    return loss


def _dense(table: Features, rows: Index | slice) -> NDArray[np.float32]:
    """Some rows of the features as an array (m, F)."""
    part = table[rows]
    return np.asarray(part if isinstance(part, np.ndarray) else part.toarray(), dtype=np.float32)
