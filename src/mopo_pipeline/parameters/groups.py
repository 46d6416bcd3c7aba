"""All parameter groups by name, validated together with one message per mistake."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.ablation import AblationParams
from mopo_pipeline.parameters.base import StrictModel, TaskParams
from mopo_pipeline.parameters.baselines import HYPERPARAMETERS, rival_faults
from mopo_pipeline.parameters.by_model import follow_model, implausible_rates
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.parameters.export import ExportParams
from mopo_pipeline.parameters.faults import siblings, told_once
from mopo_pipeline.parameters.front import COMPARED, FrontParams
from mopo_pipeline.parameters.ingest import IngestParams
from mopo_pipeline.parameters.lag import MODES, mode_of
from mopo_pipeline.parameters.plan import PlanParams
from mopo_pipeline.parameters.preferences import PreferencesParams
from mopo_pipeline.parameters.reference import ReferenceParams
from mopo_pipeline.parameters.report import ReportParams
from mopo_pipeline.parameters.rows import RowsParams
from mopo_pipeline.parameters.steerable import SteerableParams
from mopo_pipeline.parameters.synthetic import SyntheticParams
from mopo_pipeline.parameters.train import IDLE, LoopParams, TrainParams

GROUPS: dict[str, type[StrictModel]] = {
    "task": TaskParams,
    "ingest": IngestParams,
    "preferences": PreferencesParams,
    "plan": PlanParams,
    "reference": ReferenceParams,
    "train": TrainParams,
    "evaluate": EvaluateParams,
    "report": ReportParams,
    "export": ExportParams,
    "rows": RowsParams,
    "front": FrontParams,
    "ablation": AblationParams,
    "steerable": SteerableParams,
    "synthetic": SyntheticParams,
}

LAG = ("train", "lag")
"""The group whose keys depend on its ``mode``."""

PLAIN = {r"a valid tuple": "a list", r"a valid dictionary( or instance of \w+)?": "a table"}
"""What pydantic calls a shape, and what someone who writes YAML calls it."""

MOVED = dict.fromkeys(
    ("reference.fit.max_length", "train.fit.max_length", "evaluate.max_length"),
    "reference.context, one context for reference, training and evaluation (null takes what the data needs)",
) | {
    "train.lag.held_out_prompts": "train.lag.validation_prompts",
    "train.lag.on_policy": "train.lag.mode: offline for false, fresh for true, none where nothing moves",
}
"""Parameters of old, and what took their place."""


def validate_parameters(raw: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Validate every group and return it resolved, defaults included, as plain JSON values.

    Raises:
        InputError: a group or key is unknown or missing, or a value has the wrong type or range;
            the message lists every mistake on one line.
    """
    raw = follow_model(raw)
    mistakes = [_unknown(name, GROUPS) for name in raw if name not in GROUPS]
    resolved = {}
    for name, model in GROUPS.items():
        if name not in raw:
            mistakes.append(f"group {name!r} is missing: see conf/base/parameters_{name}.yml")
            continue
        try:
            resolved[name] = model.model_validate(raw[name]).model_dump(mode="json")
        except ValidationError as error:
            mistakes += [
                _describe(name, model, fault, raw[name]) for fault in told_once(raw[name], error)
            ]
    if not mistakes:
        mistakes += _contradictions(resolved)
    if mistakes:
        raise InputError("parameters: " + "; ".join(mistakes))
    return resolved


def _contradictions(resolved: Mapping[str, Any]) -> list[str]:
    """What no group can see alone."""
    lag, method = resolved["train"]["lag"], resolved["preferences"]["win_rates"]["method"]
    names = [objective["name"] for objective in resolved["task"]["objectives"]]
    found = implausible_rates(resolved) + _idle(resolved["train"]["loop"], lag["mode"])
    found += _of_no_objective(resolved, names)
    found += _of_no_rival(resolved, names)
    found += _without_judge("evaluate.judges", resolved["evaluate"]["judges"], names)
    found += _without_judge("train.lag", lag, names)
    found += _without_judge("ingest.sampled", resolved["ingest"]["sampled"] or {}, names)
    judge = lag.get("judge")
    if judge == "preference_model" and method in ("empirical", "label"):
        found.append(
            f"train.lag.judge is 'preference_model', but preferences.win_rates.method {method!r} fits none: "
            "set the method to posterior or preference_model, or choose another judge"
        )
    return found


def _of_no_objective(resolved: Mapping[str, Any], names: list[str]) -> list[str]:
    """Names under parameters that go by objective which none of ``names`` has, the primary first, of which no threshold is asked."""
    margin = resolved["preferences"]["labels"]["tie_margin"]
    by_name = [
        ("plan.thresholds", resolved["plan"]["thresholds"], names[1:]),
        ("plan.margins", resolved["plan"]["margins"], names[1:]),
        ("steerable.thresholds", resolved["steerable"]["thresholds"], names[1:]),
        ("preferences.labels.tie_margin", margin if isinstance(margin, Mapping) else {}, names),
        *(
            (f"front.thresholds.{place}", given, names[1:])
            for place, given in enumerate(resolved["front"]["thresholds"])
        ),
    ]
    return [
        f"{where} has no threshold to set for {name!r}, the primary, which is maximised"
        if name in names
        else _unknown(name, known, f"{where}.")
        for where, given, known in by_name
        for name in given
        if name not in known
    ]


def _of_no_rival(resolved: Mapping[str, Any], names: list[str]) -> list[str]:
    """Methods and hyperparameters that no rival has; ``names`` of the objectives, of which a front takes two or more."""
    front, fit = resolved["front"], resolved["train"]["fit"]
    rate, batch = fit["learning_rate"], fit["batch_size"] * fit["accumulation"]
    methods = [name for name in front["methods"] if name not in COMPARED]
    known = (*COMPARED, *HYPERPARAMETERS)
    found = [_unknown(name, known, what="method") for name in methods if name not in known]
    found += [
        _unknown(name, HYPERPARAMETERS, "front.rivals.")
        for name in front["rivals"]
        if name not in HYPERPARAMETERS
    ]
    return found + (rival_faults(front["rivals"], methods, names, rate, batch) if names[1:] else [])


def _idle(loop: Mapping[str, Any], mode: str) -> list[str]:
    """Keys of the loop that a mode of the reference makes no use of, set to anything but their defaults."""
    defaults = LoopParams().model_dump(mode="json")
    return [
        f"train.loop.{key} has no effect with train.lag.mode {mode}: {IDLE[mode][key]}"
        for key in IDLE.get(mode, {})
        if loop[key] != defaults[key]
    ]


def _without_judge(where: str, group: Mapping[str, Any], names: list[str]) -> list[str]:
    """Objectives that the reward models or the rubrics of a group leave out, where there are any."""
    models, chat = group.get("reward_models") or {}, group.get("chat")
    wanted = (
        {"reward_models": (models, "model")}
        if models or group.get("judge") == "reward_models"
        else {}
    )
    if chat is not None:
        wanted["chat.rubrics"] = (chat["rubrics"], "rubric")
    return [
        f"{where}.{key} names no {what} for objective {name!r}"
        for key, (given, what) in wanted.items()
        for name in [n for n in names if n not in given][:1]
    ]


def _describe(group: str, model: type[StrictModel], fault: Any, raw: Any) -> str:
    path = [str(part) for part in fault["loc"]]
    if (group, *path[:1]) == LAG and len(path) > 1:
        return _describe_lag(MODES[mode_of(raw["lag"])], path[1:], fault)
    return _describe_at(group, model, path, fault)


def _describe_lag(model: type[StrictModel], path: list[str], fault: Any) -> str:
    """A mistake in ``train.lag``, whose keys depend on the mode."""
    where = ".".join(LAG)
    mode = model.model_fields["mode"].default
    takers = [name for name, other in MODES.items() if path and path[0] in other.model_fields]
    if fault["type"] == "extra_forbidden" and takers:
        others = " or ".join(takers)
        return f"{where}.{path[0]} has no effect with {where}.mode {mode}: remove it, or set the mode to {others}"
    return _describe_at(where, model, path, fault)


def _describe_at(group: str, model: type[StrictModel], path: list[str], fault: Any) -> str:
    where = ".".join([group, *path])
    if where in MOVED:
        return f"{where} is now {MOVED[where]}"
    if fault["type"].startswith("union_tag"):
        return f"{where}.mode must be one of {', '.join(MODES)}, got {mode_of(fault['input'])!r}"
    if fault["type"] == "extra_forbidden":
        return _unknown(where, siblings(group, model, path[:-1]))
    reason = fault["msg"].removeprefix("Value error, ")
    for jargon, plain in PLAIN.items():
        reason = re.sub(jargon, plain, reason)
    if isinstance(fault["input"], Mapping) or fault["type"] == "missing":
        return f"{where}: {reason}"
    return f"{where} is {fault['input']!r}: {reason[0].lower()}{reason[1:]}"


def _unknown(name: str, known: Iterable[str], where: str = "", what: str = "parameter") -> str:
    """No such name, and the nearest or all there are; ``where`` stands before each."""
    given = list(known)
    close = get_close_matches(name, given, n=1, cutoff=0.5)
    there = ", ".join(where + one for one in given)
    hint = f", did you mean {where + close[0]!r}?" if close else f", known: {there}"
    return f"unknown {what} {where + name!r}{hint if given else ''}"
