"""Parameters that follow the model: a small one from scratch, adapters on a pretrained one, or all of its weights.

``by_model`` of the configuration holds a table per kind of model; what it says holds wherever an environment or the
command line says nothing else.
"""

from collections.abc import Mapping
from typing import Any

from mopo_pipeline.errors import InputError

BY_MODEL = "by_model"
"""The group that holds the tables; gone once they are applied."""

SCRATCH = "scratch"
"""What ``reference.model`` says where there is no model yet, and the kind of that model."""

KINDS = (SCRATCH, "adapters", "full")
"""From nothing; pretrained with adapters; pretrained with all weights, asked for by ``lora: null``."""

HIGHEST_RATE = {"adapters": 5e-3, "full": 1e-3}
"""Learning rates above which no pretrained model is known to survive: ten times what is usual (1e-4 to 5e-4; 1e-5 to 1e-4)."""

TRAINED = ("reference", "train")
"""Groups that train a model."""

EVALUATED = "evaluate"
"""The group that asks the trained model."""


def follow_model(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as they are written, with what their model's kind says filled in below them.

    Raises:
        InputError: ``by_model`` names no kind, or is no table of tables.
    """
    given = {name: value for name, value in raw.items() if name != BY_MODEL}
    tables = raw.get(BY_MODEL, {})
    if not isinstance(tables, Mapping) or not all(isinstance(v, Mapping) for v in tables.values()):
        raise InputError(f"parameters: {BY_MODEL} must hold a table for each of {', '.join(KINDS)}")
    if unknown := sorted(set(tables) - set(KINDS)):
        raise InputError(f"parameters: {BY_MODEL} names {unknown}; it knows {', '.join(KINDS)}")
    for group in (*TRAINED, EVALUATED):
        below = tables.get(kind_of(given, group), {}).get(group)
        if below is not None and isinstance(given.get(group), Mapping):
            given[group] = laid_over(below, given[group])
    return given


def kind_of(parameters: Mapping[str, Any], group: str) -> str:
    """Which of ``KINDS`` a group's model is, by parameters as they are written or resolved."""
    reference, own = (parameters.get(name) for name in ("reference", group))
    model = reference.get("model", SCRATCH) if isinstance(reference, Mapping) else SCRATCH
    if model == SCRATCH:
        return SCRATCH
    whole = isinstance(own, Mapping) and "lora" in own and own["lora"] is None
    return "full" if whole else "adapters"


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two tables of tables as one; where both say something, ``above`` counts.

    A table with a ``mode`` of its own takes nothing from one of another mode: its keys would have no effect.

    >>> laid_over({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 4}})
    {'a': 1, 'b': {'c': 4, 'd': 3}}
    """
    if "mode" in above and above["mode"] != below.get("mode"):
        return dict(above)
    merged = dict(below)
    for key, value in above.items():
        under = below.get(key)
        both = isinstance(value, Mapping) and isinstance(under, Mapping)
        merged[key] = laid_over(under, value) if both else value  # type: ignore[arg-type]
    return merged


def implausible_rates(resolved: Mapping[str, Any]) -> list[str]:
    """What no one can mean: learning rates that wreck a pretrained model, one sentence each."""
    found = []
    for group in TRAINED:
        kind, rate = kind_of(resolved, group), resolved[group]["fit"]["learning_rate"]
        trained = resolved[group].get("train", True)
        limit = HIGHEST_RATE.get(kind)
        if limit is None or not trained or rate <= limit:
            continue
        usual = "1e-4 to 5e-4" if kind == "adapters" else "1e-5 to 1e-4"
        what = "adapters on" if kind == "adapters" else "all weights of"
        found.append(
            f"{group}.fit.learning_rate is {rate:g}, which wrecks a pretrained model: for {what} "
            f"{resolved['reference']['model']} {usual} is usual, above {limit:g} nothing is trained"
        )
    return found
