"""Ablations and seeds as jobs: which parameters each run has, and what it may share."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from conftest import PROJECT
from mopo_pipeline.errors import InputError
from mopo_pipeline.fronts.jobs import UPSTREAM
from mopo_pipeline.fronts.jobs_of_points import jobs_of_points, jobs_of_seeds
from mopo_pipeline.fronts.variants import jobs_of_variants, variant_candidates, variants
from mopo_pipeline.parameters.ablation import AblationParams
from mopo_pipeline.parameters.front import FrontParams
from mopo_pipeline.parameters.groups import validate_parameters
from mopo_pipeline.parameters.train import TrainParams

SWEEPS = AblationParams.model_validate(
    {
        "sweeps": {
            "tau": {"plan.tau": [0.1, 1.0], "train.lag": [{"mode": "none"}, {"mode": "fresh"}]},
            "labels": {"preferences.win_rates.method": ["label"]},
        }
    }
)


def test_every_combination_is_a_run_with_these_parameters() -> None:
    jobs = {job.name: job for job in jobs_of_variants(SWEEPS, Path("x"))}
    assert len(jobs) == 5
    assert len({job.folder for job in jobs.values()}) == 5
    one = jobs["tau/plan.tau=1.0,train.lag=none"]
    assert one.params == {
        "evaluate": {"front_points": 0},
        "plan": {"tau": 1.0},
        "train": {"lag": {"mode": "none"}},
    }
    assert one.upstream == UPSTREAM
    labels = jobs["labels/preferences.win_rates.method=label"]
    assert labels.shares("reference.train_reference")
    assert not labels.shares("preferences.estimate_win_rates")


def test_a_sweep_of_another_file_can_be_taken_out_and_one_is_left() -> None:
    left = AblationParams.model_validate({"sweeps": {"tau": {"plan.tau": [0.1]}, "labels": None}})
    assert list(variants(left)) == ["tau/plan.tau=0.1"]
    for none in ({}, {"labels": None}):
        with pytest.raises(ValidationError, match="sweeps holds none"):
            AblationParams.model_validate({"sweeps": none})
    with pytest.raises(ValidationError, match="at least 1 item"):
        AblationParams.model_validate({"sweeps": {"tau": {}}})


def test_every_ablation_of_the_base_configuration_is_made_of_parameters_there_are() -> None:
    from kedro.config import OmegaConfigLoader

    from mopo_pipeline.fronts.jobs import merged
    from mopo_pipeline.settings import CONFIG_LOADER_ARGS

    base = OmegaConfigLoader(
        str(PROJECT / "conf"), runtime_params={"data_root": "x"}, **CONFIG_LOADER_ARGS
    )["parameters"]
    refused = []
    text = (PROJECT / "conf/base/parameters_ablation.yml").read_text(encoding="utf-8")
    params = AblationParams.model_validate(yaml.safe_load(text)["ablation"])
    for job in jobs_of_variants(params, Path("x")):
        try:
            validate_parameters(
                merged({k: v for k, v in base.items() if k != "data_root"}, job.params)
            )
        except InputError as error:
            refused.append(f"{job.name}: {error}")
    assert refused == []
    assert {name.partition("/")[0] for name in variants(params)} == {
        "tau_beta",
        "lag",
        "confidence",
        "epsilon",
        "win_rates",
    }


def test_a_variant_that_failed_is_there_with_its_reason() -> None:
    runs = {
        name: {"status": "failed", "reason": "stopped", "folder": "x"} for name in variants(SWEEPS)
    }
    found = variant_candidates(SWEEPS, runs, 0, 512)
    assert [c.status for c in found] == ["failed"] * 5
    assert {(c.method, c.reason, c.policy) for c in found} == {
        ("tau", "stopped", None),
        ("labels", "stopped", None),
    }


@pytest.fixture
def train() -> TrainParams:
    return TrainParams.model_validate({"fit": {"steps": 50}, "work_dir": "w"})


PLAN = {"objectives": ["help", "harm"], "rows": 90, "points": [
    {"point": "harm=0.500", "thresholds": {"harm": 0.5}, "status": "planned", "start": None},
    {"point": "harm=0.600", "thresholds": {"harm": 0.6}, "status": "planned", "start": "harm=0.500"},
    {"point": "harm=0.900", "thresholds": {"harm": 0.9}, "status": "skipped", "start": None},
]}  # fmt: skip


def test_points_that_are_planned_become_runs_and_the_plan_without_thresholds_one_more(
    train: TrainParams,
) -> None:
    front = FrontParams(data_root=Path("root"))
    first, second, free = jobs_of_points(PLAN, train, front)
    assert (first.start, second.start, second.steps) == (None, "harm=0.500", 20)
    assert second.params["plan"] == {"thresholds": {"harm": 0.6}}
    assert free.params["plan"] == {"thresholds": {"harm": 0.0}}
    assert (free.name, free.start) == ("primary_only", None)
    alone = front.model_copy(update={"share_of_steps": None, "methods": ("reference",)})
    assert [(j.start, j.steps) for j in jobs_of_points(PLAN, train, alone)] == [(None, None)] * 2


def test_nine_points_take_no_more_steps_than_five_trainings(train: TrainParams) -> None:
    front = FrontParams(data_root=Path("root"))
    points = [
        {"point": f"harm={b}", "thresholds": {"harm": b}, "status": "planned"}
        | {"start": None if b == 0 else "harm=0"}
        for b in range(front.points)
    ]
    jobs = jobs_of_points(
        {"objectives": ["help", "harm"], "rows": 90, "points": points}, train, front
    )
    ours = [job for job in jobs if job.name != "primary_only"]
    whole = train.fit.over(90).steps
    assert len(ours) == 9
    assert sum(whole if job.start is None else job.steps or whole for job in ours) <= 5 * whole


def test_nothing_is_trained_where_there_is_no_front(train: TrainParams) -> None:
    front = FrontParams(data_root=Path("root"))
    assert jobs_of_points({"objectives": ["help"], "rows": 90, "points": []}, train, front) == []


def test_another_seed_is_a_whole_front_that_shares_nothing() -> None:
    front = FrontParams(data_root=Path("root"), seeds=(0, 1, 2))
    jobs = jobs_of_seeds(0, front)
    assert [job.params["task"]["seed"] for job in jobs] == [1, 2]
    assert all(job.pipelines == ("front",) and job.params["front"] == {"seeds": []} for job in jobs)
    assert not any(job.shares("ingest.ingest_source") for job in jobs)


def test_a_variant_of_ours_is_trained_at_the_same_points_from_its_own_neighbours(
    train: TrainParams,
) -> None:
    labels = {"train.lag": {"mode": "none"}, "preferences.win_rates.method": "label"}
    front = FrontParams(data_root=Path("root"), variants={"raw": labels}, methods=("reference",))
    jobs = {job.name: job for job in jobs_of_points(PLAN, train, front)}
    assert list(jobs) == ["harm=0.500", "harm=0.600", "raw/harm=0.500", "raw/harm=0.600"]
    raw = jobs["raw/harm=0.600"]
    assert raw.start == "raw/harm=0.500"
    assert raw.params["preferences"] == {"win_rates": {"method": "label"}}
    assert raw.params["plan"] == {"thresholds": {"harm": 0.6}}
    assert not raw.shares("preferences.estimate_win_rates")
    assert len({job.folder for job in jobs.values()}) == 4


@pytest.mark.parametrize(
    ("given", "said"),
    [({"methods": ("mopo",)}, "leave out"), ({"variants": {"reference": {}}}, "name of its own")],
)
def test_a_method_has_one_name(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FrontParams.model_validate({"data_root": "x", **given})
