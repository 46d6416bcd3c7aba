"""Where a run ends, policies on the way from the reference are weighed, and one is kept."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import load_file
from test_lag import LengthJudge

from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.logprobs import sequence_logprobs
from mopo_pipeline.launching import worker
from mopo_pipeline.launching.run import TrainingRun, prepare, train
from mopo_pipeline.mopo import Comparisons
from mopo_pipeline.mopo.labelled import cautious_values
from mopo_pipeline.parameters.fit import LoraParams
from mopo_pipeline.parameters.lag import FreshLag
from mopo_pipeline.parameters.train import LoopParams
from mopo_pipeline.training import candidates, fresh_judge
from mopo_pipeline.training.assemble import prepare_trainer
from mopo_pipeline.training.candidates import Way
from mopo_pipeline.training.run_spec import RunSpec
from tiny_training import labelled_run, tiny_model, with_fit

LORA = LoraParams(r=4, alpha=8)
SHARES = (1.0, 0.75, 0.5)
PROMPTS = np.repeat(np.arange(10), 6)
adapted = pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    return labelled_run(tiny_model(tmp_path_factory.mktemp("model")))


def ends(run: TrainingRun, *shares: float) -> TrainingRun:
    return replace(run, loop=LoopParams(rounds=0, candidates=shares or (1.0,)))


def logprobs(run: TrainingRun, model: Any) -> np.ndarray:
    _, tokenizer = load_model(run.model)
    table = run.validation
    texts = table["prompt"].tolist(), table["response"].tolist()
    return sequence_logprobs(model, tokenizer, *texts, max_length=32).logprob


def on_the_way(run: TrainingRun, root: Path) -> tuple[Any, Way]:
    """The trained model, and its way from the reference."""
    directory = prepare(ends(run), root)
    trainer, _ = prepare_trainer(directory, RunSpec.read(directory))
    trainer.train()
    return trainer.model.eval(), Way(trainer.model, None if run.lora else run.model)


def opposed(run: TrainingRun, root: Path) -> tuple[TrainingRun, dict[float, np.ndarray]]:
    """Labels that say: what the policy moved to helps and harms; and the values (2,) at each share by them."""
    model, way = on_the_way(run, root)
    reference, gaps = run.validation["reference_logprob"].to_numpy(), {}
    for share in SHARES:
        way.go(share)
        gaps[share] = logprobs(run, model) - reference
    assert run.labels is not None
    first, second = np.asarray(run.labels.first), np.asarray(run.labels.second)
    more = (gaps[1.0][first] > gaps[1.0][second]).astype(float)
    labels = Comparisons(first, second, np.column_stack([more, 1.0 - more]))
    values = {share: cautious_values(labels, gap, PROMPTS).values for share, gap in gaps.items()}
    harms = [values[share][1] for share in SHARES]
    assert (np.diff(harms) > 0.005).all()
    return replace(run, labels=labels), values


def asking(run: TrainingRun, harm: float, *shares: float) -> TrainingRun:
    assert run.problem is not None
    problem = replace(run.problem, thresholds=np.array([harm]))
    return replace(ends(run, *shares), problem=problem)


def finished(run: TrainingRun, root: Path) -> Path:
    directory = prepare(run, root)
    worker.main(directory)
    return directory


def facts(directory: Path) -> dict[str, Any]:
    return dict(json.loads((directory / "log.json").read_text()))


def weights(directory: Path) -> dict[str, np.ndarray]:
    [file] = (directory / "final").glob("*.safetensors")
    return load_file(file)


@pytest.mark.slow
@adapted
def test_the_way_begins_at_the_reference_and_ends_at_the_policy(
    run: TrainingRun, tmp_path: Path, lora: LoraParams | None
) -> None:
    run = replace(run, lora=lora)
    model, way = on_the_way(run, tmp_path)
    trained = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    policy, found = logprobs(run, model), {}
    for share in (0.0, 0.5, 1.0):
        way.go(share)
        found[share] = logprobs(run, model)
    np.testing.assert_allclose(found[0.0], run.validation["reference_logprob"], atol=1e-5)
    assert (found[1.0] == policy).all()
    assert all((weight == trained[name]).all() for name, weight in model.named_parameters())
    for end in (0.0, 1.0):
        assert np.abs(found[0.5] - found[end]).max() > 0.02


@pytest.mark.slow
def test_an_adapter_half_the_way_is_the_mean_of_the_merged_weights(
    run: TrainingRun, tmp_path: Path
) -> None:
    run = replace(run, lora=LORA)
    model, way = on_the_way(run, tmp_path)
    way.go(0.5)
    half = logprobs(run, model)
    way.go(1.0)
    merged, (mean, _) = model.merge_and_unload().state_dict(), load_model(run.model)
    mean.load_state_dict({n: (w + merged[n]) / 2 for n, w in mean.state_dict().items()})
    np.testing.assert_allclose(half, logprobs(run, mean), atol=1e-4)


@pytest.mark.slow
@adapted
@pytest.mark.parametrize("expected", SHARES)
def test_the_share_that_validation_prefers_is_the_one_that_is_left(
    run: TrainingRun, tmp_path: Path, lora: LoraParams | None, expected: float
) -> None:
    """The same run, asked for more and more of what it lost, is left nearer and nearer to the reference."""
    run, values = opposed(replace(run, lora=lora), tmp_path / "first")
    asked = values[expected][1] - 0.001
    chosen = finished(asking(run, asked, *SHARES), tmp_path)
    policy = finished(asking(run, asked), tmp_path)
    rows = facts(chosen)["candidates"]
    assert [row["share"] for row in rows] == list(SHARES)
    assert [row["share"] for row in rows if row["taken"]] == [expected]
    for row in rows:
        given = [row["values"][name] for name in ("help", "harm")]
        np.testing.assert_allclose(given, values[row["share"]], atol=1e-4)
        assert row["holds"] == (row["share"] <= expected)
    found, end = weights(chosen), weights(policy)
    start = load_file(run.model / "model.safetensors")
    for name, weight in end.items():
        scaled = expected if "lora_B" in name else 1.0
        mean = scaled * weight if lora else start[name] + expected * (weight - start[name])
        np.testing.assert_allclose(found[name], mean, atol=1e-6)
    same = all((found[name] == weight).all() for name, weight in end.items())
    assert same == (expected == 1.0)
    assert facts(policy)["candidates"] == []


@pytest.mark.slow
def test_what_was_chosen_is_told_with_what_was_seen(run: TrainingRun, tmp_path: Path) -> None:
    run, values = opposed(run, tmp_path / "first")

    def told(harm: float) -> list[str]:
        found = facts(finished(asking(run, harm, *SHARES), tmp_path))["findings"]
        return [f"{f['name']} {f['value']:.3f} {f['remedy']}" for f in found]

    [line] = [t for t in told(values[0.75][1] - 0.001) if "its way" in t]
    assert "0.750" in line
    assert f"0.5: help {values[0.5][0]:.3f}, harm {values[0.5][1]:.3f} of" in line
    assert [t for t in told(values[1.0][1] - 0.001) if "its way" in t or "seen to hold" in t] == []
    missed = told(values[0.5][1] + 0.01)
    assert [t for t in missed if t.startswith("no candidate is seen to hold 0.010")]
    assert [t for t in missed if "its way 0.500" in t]


@pytest.mark.slow
def test_a_resumed_run_makes_the_same_choice(run: TrainingRun, tmp_path: Path) -> None:
    """Killed after its last step or two steps before; from its first step with another seed it ends elsewhere."""
    run, values = opposed(run, tmp_path / "first")
    run = asking(run, values[0.75][1] - 0.001, *SHARES)
    directory = finished(run, tmp_path)
    model, rows = (
        (directory / "final/model.safetensors").read_bytes(),
        facts(directory)["candidates"],
    )
    for lost in ([], ["checkpoint-8"]):
        shutil.rmtree(directory / "final")
        for checkpoint in lost:
            shutil.rmtree(directory / checkpoint)
        worker.main(directory)
        assert (directory / "final/model.safetensors").read_bytes() == model
        assert facts(directory)["candidates"] == rows
    other = finished(replace(run, seed=1), tmp_path)
    assert (other / "final/model.safetensors").read_bytes() != model


@pytest.mark.slow
@adapted
def test_a_policy_that_training_passed_is_kept_where_validation_prefers_it(
    run: TrainingRun, tmp_path: Path, lora: LoraParams | None
) -> None:
    """Asked for more than training left, the policy of step 4 is taken, bit for bit, and again after a kill."""
    run, _ = opposed(with_fit(replace(run, lora=lora), save_every=4), tmp_path / "first")
    passing = replace(run, loop=LoopParams(rounds=0, checkpoints=1))
    rows = facts(finished(passing, tmp_path))["candidates"]
    assert [row["step"] for row in rows] == [None, 4]
    end, passed = (row["values"]["harm"] for row in rows)
    assert abs(passed - end) > 0.002
    if passed < end:  # labels turned round say the opposite of both
        labels = np.asarray(run.labels.labels) * [1, -1] + [0, 1]  # type: ignore[union-attr]
        run = replace(run, labels=replace(run.labels, labels=labels))  # type: ignore[type-var]
        end, passed = 1.0 - end, 1.0 - passed
    asked = replace(asking(run, (end + passed) / 2), loop=passing.loop)
    directory = finished(asked, tmp_path)
    [checkpoint] = (directory / "checkpoint-4").glob("*model.safetensors")
    for _ in range(2):
        rows = facts(directory)["candidates"]
        assert [(row["step"], row["taken"]) for row in rows] == [(None, False), (4, True)]
        kept, found = load_file(checkpoint), weights(directory)
        assert all((found[name] == weight).all() for name, weight in kept.items())
        [told] = [f for f in facts(directory)["findings"] if "before the last step" in f["name"]]
        assert told["value"] == 4.0
        assert "step 4: help" in told["remedy"]
        shutil.rmtree(directory / "final")
        worker.main(directory)


@pytest.mark.slow
@pytest.mark.parametrize("fresh", [False, True], ids=["labels", "fresh answers"])
def test_the_policy_is_weighed_by_the_evidence_its_run_was_steered_by(
    run: TrainingRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: bool
) -> None:
    monkeypatch.setattr(fresh_judge, "judge_named", lambda *_, **__: LengthJudge())
    lag = FreshLag(every=4, fresh_prompts=8, fresh_responses=4, max_new_tokens=6)
    labels = {"lag": lag, "labels": None} if fresh else {}
    directory = finished(replace(asking(run, 0.3, *SHARES), **labels), tmp_path)
    found, last = facts(directory), facts(directory)["history"][-1]
    policy, *others = found["candidates"]
    for name in ("help", "harm"):
        assert policy["values"][name] == pytest.approx(last[f"validation_{name}"], abs=1e-9)
        assert all(abs(other["values"][name] - policy["values"][name]) < 0.5 for other in others)
    assert any(other["values"]["help"] != policy["values"]["help"] for other in others)


@pytest.mark.slow
def test_fresh_answers_ask_for_what_the_closed_loop_asks_for(
    run: TrainingRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a level nothing is added to the threshold; with one the noise of prompts, with a test split its half-width."""
    monkeypatch.setattr(fresh_judge, "judge_named", lambda *_, **__: LengthJudge())
    lag = FreshLag(every=8, fresh_prompts=8, fresh_responses=4, max_new_tokens=6)
    run, asked = replace(asking(run, 0.3, *SHARES), lag=lag, labels=None), []
    for levels in (
        {},
        {"level": 0.9},
        {"level": 0.9, "certificate_level": 0.95, "test_prompts": 40},
    ):
        problem = replace(run.problem, **levels)  # type: ignore[type-var]
        [policy, *_] = facts(finished(replace(run, problem=problem), tmp_path))["candidates"]
        asked.append(policy["required"]["harm"])
    assert asked[0] == pytest.approx(0.3)
    assert asked[0] < asked[1] < asked[2]


@pytest.mark.slow
def test_two_processes_choose_as_one_does(run: TrainingRun, tmp_path: Path) -> None:
    run, values = opposed(run, tmp_path / "first")
    run = asking(run, values[0.75][1] - 0.001, *SHARES)
    one = train(run, tmp_path / "one").directory.parent
    two = train(with_fit(run, processes=2), tmp_path / "two").directory.parent
    taken = [[row["taken"] for row in facts(where)["candidates"]] for where in (one, two)]
    assert taken[0] == taken[1] == [False, True, False]
    expected, found = weights(one), weights(two)
    assert max(float(np.abs(found[n] - w).max()) for n, w in expected.items()) < 1e-4


@pytest.mark.slow
def test_a_sharded_model_stays_where_training_ended(
    run: TrainingRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    policy = weights(finished(ends(run), tmp_path))
    monkeypatch.setattr(candidates, "sharded", lambda _: True)
    directory = finished(ends(run, *SHARES), tmp_path)
    assert "a sharded model has one candidate" in caplog.text
    assert facts(directory)["candidates"] == []
    assert all((weight == policy[name]).all() for name, weight in weights(directory).items())


@pytest.mark.parametrize("shares", [(0.5,), (), (1.0, 0.0), (1.0, 1.5)])
def test_shares_lie_above_0_and_the_policy_is_among_them(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError, match="candidates"):
        LoopParams(candidates=shares)
