"""Ours over a grid: the front at every setting, the best by validation labels, all of it paid."""

from collections.abc import Sequence
from pathlib import Path

from test_made import OFFLINE, left_by_run, plan_of

from mopo_pipeline.fronts import collect
from mopo_pipeline.fronts.jobs import Outcome
from mopo_pipeline.fronts.jobs_of_points import jobs_of_points, jobs_of_tuning
from mopo_pipeline.fronts.tuning import best_of
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.parameters.front import FrontParams
from mopo_pipeline.parameters.train import TrainParams

PLAN = {"objectives": ["help", "harm"], "rows": 90, "points": [
    {"point": "edge", "status": "planned", "start": "p"} | plan_of(2.0),
    {"point": "p", "status": "planned", "start": None} | plan_of(2.0),
]}  # fmt: skip


def front(root: Path) -> FrontParams:
    grid = {"train.fit.learning_rate": (0.001, 0.002), "plan.tau": (0.1,)}
    variants = {"other": {"plan.tau": 0.3}}
    return FrontParams(data_root=root, tuning=grid, variants=variants, methods=("primary_only",))


def tried(root: Path, *status: str) -> dict[str, Outcome]:
    """How the grid's runs ended, each of the first setting with ten steps more."""
    jobs = jobs_of_tuning(PLAN, train(), front(root))
    for job, steps in zip(jobs, (30, 60, 20, 50), strict=True):
        left_by_run(job.folder, OFFLINE, steps=steps, price=0.5)
    return {
        j.name: Outcome(j.name, s, "", str(j.folder), None, 9.0)
        for j, s in zip(jobs, status, strict=True)
    }


def train() -> TrainParams:
    return TrainParams.model_validate({"fit": {"steps": 50}, "work_dir": "w"})


def second_is_best(folders: Sequence[Path]) -> float:
    return 0.2 if "0.002" in str(folders[0]) else 0.1


def test_the_front_is_trained_at_every_setting_without_a_look_at_the_test_split(
    tmp_path: Path,
) -> None:
    jobs = jobs_of_tuning(PLAN, train(), front(tmp_path))
    edge, middle = jobs[:2]
    assert middle.params["plan"] == {"thresholds": {"harm": 0.5}, "tau": 0.1}
    assert [j.params["train"]["fit"]["learning_rate"] for j in jobs] == [0.001, 0.001, 0.002, 0.002]
    assert {j.pipelines for j in jobs} == {("train",)}
    assert (middle.start, edge.start, edge.steps) == (None, middle.name, 20)
    assert all(job.shares("reference.train_reference") for job in jobs)
    assert jobs_of_tuning({"points": [], "rows": 0}, train(), front(tmp_path)) == []
    assert jobs_of_tuning(PLAN, train(), FrontParams(data_root=tmp_path)) == []


def test_all_points_are_trained_with_the_best_of_the_grid_whose_runs_are_those_of_ours(
    tmp_path: Path,
) -> None:
    runs, params = tried(tmp_path, *["done"] * 4), front(tmp_path)
    tuned = best_of(runs, params, second_is_best)
    assert [one["hypervolume"] for one in tuned.grid] == [0.1, 0.2]
    jobs = {job.name: job for job in jobs_of_points(PLAN, train(), params, tuned)}
    found = [Path(run.folder) for name, run in runs.items() if "0.002" in name]
    assert [jobs["edge"].folder, jobs["p"].folder] == found
    assert jobs["p"].pipelines == ("train", "evaluate")
    assert jobs["edge"].start == "p"
    assert all(job.params["train"]["fit"] == {"learning_rate": 0.002} for job in jobs.values())
    taus = [job.params["plan"]["tau"] for job in jobs.values()]
    assert list(jobs) == ["edge", "p", "other/edge", "other/p", "primary_only"]
    assert taus == [0.1, 0.1, 0.3, 0.3, 0.1]
    assert len({job.folder for job in jobs.values()}) == 5


def test_a_grid_of_which_no_run_is_done_leaves_the_parameters_as_they_are(tmp_path: Path) -> None:
    tuned = best_of(
        tried(tmp_path, *["failed"] * 4), front(tmp_path), lambda found: 0.1 if found else None
    )
    assert (tuned.setting, tuned.folder) == ({}, None)
    assert [one["hypervolume"] for one in tuned.grid] == [None, None]


def test_the_front_pays_for_the_runs_it_did_not_take_and_tells_what_was_found(
    tmp_path: Path,
) -> None:
    runs = tried(tmp_path, "done", "failed", "done", "done")
    tuned = best_of(runs, front(tmp_path), second_is_best)
    points = {
        name: {"status": "done", "reason": "", "folder": run.folder, "start": None, "seconds": 9.0}
        for name, run in zip(["edge", "p"], list(runs.values())[2:], strict=True)
    }
    found = collect.trained_candidates(
        PLAN, {"points": points, "tuning": tuned.as_dict()}, 0, EvaluateParams(), {}, []
    )
    assert [c.spent.sequences for c in found] == [(20 + 30) * 16, 50 * 16]
    assert [c.spent.seconds for c in found] == [9.0 + 9.0, 9.0]
    assert found[1].hyperparameters["tuned_over"] == [
        {"train.fit.learning_rate": 0.001, "plan.tau": 0.1, "hypervolume": 0.1},
        {"train.fit.learning_rate": 0.002, "plan.tau": 0.1, "hypervolume": 0.2},
    ]
    assert found[1].planned["multiplier_harm"] == 0.5
