"""Nobody is taught to end where an answer was only cut; prompts that change by the day are other prompts."""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_lengths import responses

from conftest import kedro
from mopo_pipeline.errors import InputError
from mopo_pipeline.language.lengths import typical_longest
from mopo_pipeline.language.loading import load_tokenizer
from mopo_pipeline.launching.run import TrainingRun, prepare
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.parameters.fit import FitParams
from mopo_pipeline.parameters.ingest import IngestParams
from mopo_pipeline.parameters.lag import FreshLag
from mopo_pipeline.parameters.reference import ReferenceParams
from mopo_pipeline.parameters.train import TrainParams
from mopo_pipeline.pipelines.reference.nodes import train_reference
from mopo_pipeline.policies.reference_logprobs import check_logprobs, reference_logprobs
from mopo_pipeline.sources.sampled import read_sampled
from mopo_pipeline.training import fresh_judge
from mopo_pipeline.training.assemble import prepare_trainer
from mopo_pipeline.training.run_spec import RunSpec
from mopo_pipeline.training.trainer import WeightedTrainer
from tiny_tokenizers import CHATML, chatml_tokenizer, save_tiny
from tiny_training import tiny_model, tiny_run


def ready(run: TrainingRun, root: Path) -> WeightedTrainer:
    directory = prepare(run, root)
    return prepare_trainer(directory, RunSpec.read(directory))[0]


def ends(trainer: WeightedTrainer) -> list[bool]:
    end = load_tokenizer(trainer.args.output_dir + "/../../model").eos_token_id
    return [ids[-1] == end for ids in trainer.rows.ids]


def test_rows_that_were_cut_when_drawn_or_by_the_context_are_trained_without_an_end(
    tmp_path: Path,
) -> None:
    run = tiny_run(tiny_model(tmp_path / "model"))
    assert all(ends(ready(run, tmp_path / "work")))
    drawn = np.arange(40) % 3 > 0
    cut = replace(run, rows=run.rows.assign(ended=drawn))
    assert ends(ready(cut, tmp_path / "work")) == drawn.tolist()
    lengths = ready(run, tmp_path / "work").rows.lengths
    short = replace(run, context=int(np.median(lengths)))
    assert ends(ready(short, tmp_path / "work")) == (lengths <= np.median(lengths)).tolist()


class AnyLength:
    """Longer is better."""

    name, objectives, link = "length", ("help", "harm"), "logistic"

    def scores(self, prompts: list[str], responses: list[str]) -> np.ndarray:
        return np.tile([[len(r.split())] for r in responses], (1, 2)).astype(float)


@pytest.mark.slow
def test_fresh_responses_that_were_cut_end_nowhere_also_after_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh_judge, "judge_named", lambda *_, **__: AnyLength())
    run = tiny_run(tiny_model(tmp_path / "model"), save_every=4)
    assert run.problem is not None
    lag = FreshLag(every=4, fresh_prompts=8, fresh_responses=4, max_new_tokens=4)
    fresh = replace(run, lag=lag, problem=replace(run.problem, thresholds=np.array([0.05])))
    trainer = ready(fresh, tmp_path / "work")
    trainer.train()
    assert trainer.fresh is not None
    assert 0 < np.mean(trainer.fresh["ended"]) < 1
    written = np.array([len(text) > 0 for text in trainer.fresh["responses"]])
    assert ends(trainer) == (np.array(trainer.fresh["ended"]) | ~written).tolist()
    again = ready(fresh, tmp_path / "work")
    again.train(resume_from_checkpoint=trainer.args.output_dir + "/checkpoint-4")
    assert again.rows.ids == trainer.rows.ids
    assert again.lag_state.ess == trainer.lag_state.ess


def test_fresh_responses_are_as_long_as_the_datas_where_nothing_is_said(tmp_path: Path) -> None:
    run = tiny_run(tiny_model(tmp_path / "model"))
    lag = FreshLag(every=4, judge="pocket")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fresh_judge, "judge_named", lambda *_, **__: AnyLength())
        trainer = ready(replace(run, lag=lag), tmp_path / "work")
    act = next(c.refresh for c in trainer.callback_handler.callbacks if hasattr(c, "refresh"))
    longest = act.args[0].__self__.longest
    assert longest == typical_longest(trainer.rows.response_lengths)


@pytest.fixture
def dated(tmp_path: Path) -> Path:
    template = "<|im_start|>system\n{{ strftime_now('%d %B') }}<|im_end|>\n" + CHATML
    return save_tiny(tmp_path / "dated", chatml_tokenizer(template))


def on(day: int, patch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2026, 11, day)

    patch.setattr("transformers.utils.chat_template_utils.datetime", Clock)


def test_log_probabilities_of_another_days_prompt_are_computed_again(
    dated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(2, monkeypatch)
    first = reference_logprobs(responses(), dated, 96, tmp_path)
    assert check_logprobs(first, responses(), dated) == 96
    on(13, monkeypatch)
    second = reference_logprobs(responses(), dated, 96, tmp_path)
    assert (first["logprob"] != second["logprob"]).all()
    with pytest.raises(InputError, match=r"of other texts .* for 4 of 4 responses.*the date"):
        check_logprobs(first, responses(), dated)


def test_a_run_of_another_days_prompt_is_another_run(
    dated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = responses()[["prompt", "response"]].assign(weight=1.0, reference_logprob=float("nan"))
    run = TrainingRun("reference", dated, rows, FitParams(steps=1), 0)
    on(2, monkeypatch)
    names = [prepare(run, tmp_path).name, prepare(run, tmp_path).name]
    on(13, monkeypatch)
    names.append(prepare(run, tmp_path).name)
    assert names[0] == names[1] != names[2]


def test_sampled_candidates_say_which_were_cut_and_the_terminal_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = save_tiny(tmp_path / "model", chatml_tokenizer())
    task = TaskParams.model_validate({"objectives": [{"name": "brevity"}]})
    sampled = {"model": str(model), "n_responses": 4, "max_new_tokens": 6}
    params = IngestParams.model_validate({"source": "sampled", "limit": 6, "sampled": sampled})
    found = read_sampled(params, task)
    table, where = found.responses, found.where
    cut = int((~table["ended"]).sum())
    assert 0 < cut <= 24
    assert where.endswith(f"{cut} of 24 answers cut at 6 tokens")
    said = [r for r in caplog.records if "sampled answers cut short" in r.getMessage()]
    assert [r.levelname for r in said] == ["ERROR"]


@pytest.mark.parametrize(
    ("judges", "message"),
    [
        ({"rules": "text"}, "there is no rule 'help'"),
        (
            {"rules": "none", "reward_models": {"help": "no/such", "harm": "no/such"}},
            "no/such is not a reward model",
        ),
    ],
)
def test_judges_of_the_evaluation_are_tried_before_the_first_fit(
    tmp_path: Path, judges: dict[str, Any], message: str
) -> None:
    fit = FitParams(steps=1, batch_size=2, device="cpu")
    task = TaskParams.model_validate(
        {"objectives": [{"name": "help"}, {"name": "harm", "threshold": 0.5}]}
    )
    table = pd.concat([responses(split="train"), responses()], ignore_index=True)
    with pytest.raises(InputError, match=message):
        train_reference(
            table,
            {},
            task,
            ReferenceParams(fit=fit, work_dir=tmp_path),
            TrainParams(fit=fit, work_dir=tmp_path),
            EvaluateParams.model_validate({"judges": judges}),
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_run_that_cuts_its_answers_says_so_before_training_and_leaves_an_error(
    tmp_path: Path,
) -> None:
    short = "reference.context=20,evaluate.sampling.max_new_tokens=4"
    done = kedro("--to-nodes=train.train_policy", f"--params={short}", data_root=tmp_path)
    assert done.returncode == 0, done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    assert "answers of the data cut short: 0.9" in said
    found = json.loads((tmp_path / "06_models/training_findings.json").read_text())
    cut = [f for f in found if f["name"] == "training answers cut short"]
    assert [f["severity"] for f in cut] == ["error"]
    assert cut[0]["value"] > 0.9
