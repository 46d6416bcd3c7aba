"""Ablations and seeds as jobs: which parameters each run has, and what it may share."""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from pydantic import ValidationError

from conftest import PROJECT
from mopo_pipeline.errors import InputError
from mopo_pipeline.fronts import collect
from mopo_pipeline.fronts.jobs import UPSTREAM
from mopo_pipeline.fronts.jobs_of_points import jobs_of_points, jobs_of_seeds
from mopo_pipeline.fronts.tuning import UNTUNED
from mopo_pipeline.fronts.variants import jobs_of_variants, variant_candidates, variants
from mopo_pipeline.parameters.ablation import AblationParams
from mopo_pipeline.parameters.evaluate import EvaluateParams
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
    jobs = {job.name: job for job in jobs_of_variants(SWEEPS, Path("x"), {"harm": 0.46})}
    assert len(jobs) == 5
    assert len({job.folder for job in jobs.values()}) == 5
    one = jobs["tau/plan.tau=1.0,train.lag=none"]
    assert one.params == {
        "evaluate": {"front_points": 0},
        "plan": {"tau": 1.0, "thresholds": {"harm": 0.46}},
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
    for name, said in (("reference", "cannot be called"), ("a/b", "should match pattern")):
        with pytest.raises(ValidationError, match=said):
            AblationParams.model_validate({"sweeps": {name: {"plan.tau": [0.1]}}})
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
    for job in jobs_of_variants(params, Path("x"), {"harmlessness": 0.5}):
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
    found = variant_candidates(SWEEPS, runs, 0, 512, [])
    assert [c.status for c in found] == ["failed"] * 5
    assert {(c.method, c.reason, c.policy) for c in found} == {
        ("tau", "stopped", None),
        ("labels", "stopped", None),
    }


def swept(**table: list[object]) -> AblationParams:
    keyed = {key.replace("__", "."): values for key, values in table.items()}
    return AblationParams.model_validate({"sweeps": {"one": keyed}})


def test_settings_whose_values_alone_look_alike_are_runs_of_their_own() -> None:
    lags = [
        {"mode": "fresh", "every": 100},
        {"mode": "fresh", "fresh_prompts": 100},
        {"mode": "none"},
    ]
    made = variants(swept(train__lag=lags))
    assert [setting["train.lag"] for setting in made.values()] == lags
    assert list(made)[2] == "one/train.lag=none"
    assert len({job.folder for job in jobs_of_variants(swept(train__lag=lags), Path("x"), {})}) == 3


def test_no_setting_is_too_long_for_a_folder_and_no_two_share_one() -> None:
    lists = [[f"layer{i}" for i in range(60)], [f"layer{i}" for i in range(61)]]
    alike = ["runs/a", "runs-a"]
    for params in (swept(train__lora=lists), swept(reference__model=alike)):
        jobs = jobs_of_variants(params, Path("x"), {})
        assert len({job.folder.name for job in jobs}) == 2
        assert all(len(job.folder.name.encode()) < 255 for job in jobs)


def test_every_variant_is_asked_for_the_thresholds_of_the_task_s_plan_unless_it_sets_them() -> None:
    """A position is another win rate at every confidence: what is held at .26 says nothing beside what is missed at .46."""
    params = swept(plan__confidence=[0.5, 0.99]), swept(plan__thresholds__harm=[0.3])
    other = swept(task__objectives=[[{"name": "help"}]])
    asked = [
        job.params.get("plan", {}).get("thresholds")
        for some in (*params, other)
        for job in jobs_of_variants(some, Path("x"), {"harm": 0.46, "brief": 0.4, "free": None})
    ]
    same = {"harm": 0.46, "brief": 0.4}
    assert asked == [same, same, same | {"harm": 0.3}, None]


def test_a_run_that_was_trained_on_test_prompts_of_the_others_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A seed draws the splits anew: what it trains on are prompts that the others have never seen."""
    prompts = pd.DataFrame({"prompt": ["a", "b", "c"], "split": ["train", "validation", "test"]})
    (tmp_path / "03_primary").mkdir()
    prompts.to_parquet(tmp_path / "03_primary/responses.parquet")
    params = swept(task__seed=[1])
    [job] = jobs_of_variants(params, tmp_path, {})
    assert "task.seed draws the splits anew" in caplog.text
    runs = {job.name: {"status": "done", "reason": "", "folder": str(tmp_path)}}
    [own], [met] = (
        variant_candidates(params, runs, 0, 512, asked) for asked in (["c"], ["a", "b"])
    )
    assert (own.status, met.status, met.policy) == ("done", "failed", None)
    assert "holds 2 of the 2 test prompts that all are valued on" in met.reason
    plan = {
        "points": [
            {
                "point": "p",
                "status": "planned",
                "thresholds": {},
                "multipliers": {},
                "values": {},
                "kl": None,
            }
        ]
    }
    of_front = collect.trained_candidates(
        plan, {"points": {"seeds/p": runs[job.name]}, "tuning": UNTUNED.as_dict()}, 0, EvaluateParams(), {"seeds": {"task.seed": 1}}, ["a"],
    )  # fmt: skip
    assert [(c.method, c.status) for c in of_front] == [("seeds", "failed")]
    shared = swept(plan__tau=[1.0])
    [same] = jobs_of_variants(shared, tmp_path, {})
    kept = {same.name: runs[job.name]}
    assert variant_candidates(shared, kept, 0, 512, ["a"])[0].status == "done"


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
    [
        ({"methods": ("mopo",)}, "leave out"),
        ({"variants": {"reference": {}}}, "name of its own"),
        ({"variants": {"steerable": {}}}, "name of its own"),
        ({"variants": {"raco": {}}}, "name of its own"),
        ({"variants": {"rivals": {}}}, "name of its own"),
        ({"variants": {"seed-1": {}}, "seeds": (0, 1)}, "name of its own"),
        ({"variants": {"../else": {}}}, "should match pattern"),
        ({"tuning": {"plan.tau": (1,), "task.seed": (1, 2)}}, "leave out task.seed"),
    ],
)
def test_a_method_has_one_name_and_is_made_from_the_same_data(
    given: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        FrontParams.model_validate({"data_root": "x", **given})


def test_a_variant_of_another_length_keeps_its_own_share_of_steps(train: TrainParams) -> None:
    lengths = {
        "long": {"train.fit.steps": 500},
        "rounds": {"train.fit": {"steps": None, "epochs": 16}},
    }
    front = FrontParams(data_root=Path("root"), variants=lengths)
    jobs = {job.name: job for job in jobs_of_points(PLAN, train, front)}
    assert jobs["harm=0.600"].steps == 20
    assert jobs["long/harm=0.600"].steps == 200
    assert jobs["rounds/harm=0.600"].steps == 36  # 16 times 90 rows by 16, of which .4
