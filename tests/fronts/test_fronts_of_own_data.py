"""Fronts of a user's own data: no rules and no exact values, a preference model judges, labels have gaps, prompts come in groups."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from judged_world import judged_world
from mopo_pipeline.baselines.best_of_n import BestOfN
from mopo_pipeline.errors import InputError
from mopo_pipeline.evaluation.judging import fit_evaluation_model
from mopo_pipeline.evaluation.within_prompts import label_values
from mopo_pipeline.fronts.candidates import Candidate, ModelPolicy
from mopo_pipeline.fronts.compared import Asked
from mopo_pipeline.fronts.tables import front_tables
from mopo_pipeline.fronts.values import Ground, ground
from mopo_pipeline.fronts.verdict import front_report
from mopo_pipeline.language.scratch import build_model, build_tokenizer
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.parameters.front import Estimator
from mopo_pipeline.parameters.preferences import PreferenceModelParams
from mopo_pipeline.reporting.front_page import page_data
from mopo_pipeline.tables import weight_columns

NAMES = ("helpfulness", "harmlessness", "conciseness", "tone")
PARAMS = EvaluateParams.model_validate(
    {"bootstrap": 20, "sampling": {"samples": 2, "max_new_tokens": 12}}
)


@dataclass(frozen=True)
class Own:
    """What a run leaves of own data: tables, the reference, and the model that judges policies."""

    responses: pd.DataFrame
    comparisons: pd.DataFrame
    reference: Path
    other: Path
    judge: Path

    def ground(self, objectives: int, estimator: Estimator = "auto") -> Ground:
        task = TaskParams.model_validate({"objectives": [{"name": n} for n in NAMES[:objectives]]})
        tables = self.responses, self.comparisons
        return ground(*tables, self.reference, self.judge, task, PARAMS, 2, estimator)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Own:
    """The pocket task's texts as anyone's: four objectives, a fifth of the labels missing, the last without test labels."""
    root, rng = tmp_path_factory.mktemp("own"), np.random.default_rng(0)
    given = judged_world(1, validation=8, test=4, answers=5).given
    responses = given.responses.assign(source="files")
    place = responses["prompt_id"].map(
        {p: i for i, p in enumerate(responses["prompt_id"].unique())}
    )
    responses = responses.assign(group=[f"g{i // 2}" for i in place])
    pairs = given.comparisons.assign(
        tone=rng.integers(2, size=len(given.comparisons)).astype(float),
        **dict.fromkeys(weight_columns(NAMES), 1.0),
    )
    names = list(NAMES)
    pairs[names] = pairs[names].mask(rng.random((len(pairs), 4)) < 0.2)
    pairs.loc[pairs["split"] == "test", "tone"] = np.nan
    small = PreferenceModelParams(hidden=4, epochs=2, folds=2)
    fit_evaluation_model(responses, pairs, root / "none", NAMES, small, 0, root / "judge")
    texts = responses["prompt"].tolist(), responses["response"].tolist()
    tokenizer = build_tokenizer(*texts)
    for seed, name in enumerate(("reference", "other")):
        model = build_model(tokenizer, layers=1, width=16, heads=2, max_length=64, seed=seed)
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return Own(responses, pairs, root / "reference", root / "other", root / "judge")


@pytest.mark.parametrize("objectives", [1, 4])
def test_a_front_of_own_data_is_valued_judged_and_shown(own: Own, objectives: int) -> None:
    """From the artifacts of its trainings to the page: nothing behind them may end it."""
    names, on = NAMES[:objectives], own.ground(objectives, "judge")
    asked = {f"threshold_{name}": 0.4 for name in names[1:]}
    candidates = [
        Candidate("mopo", "trained", "a", 0, ModelPolicy(own.other, 512), planned=asked),
        Candidate("mopo", "trained", "b", 0, None, "failed", "the loss became nan", asked),
        Candidate("reference", "trained", "reference", 0, ModelPolicy(own.reference, 512)),
    ]
    points, values, samples = front_tables(candidates, on)
    assert list(points["status"]) == ["done", "failed", "done"]
    test_prompts = own.responses.loc[own.responses["split"] == "test", "prompt_id"].nunique()
    assert values.groupby("method").size().tolist() == [test_prompts] * 2
    assert values["unit"].nunique() == test_prompts // 2
    for method, part in values.groupby("method"):
        [row] = points.loc[(points["method"] == method) & (points["status"] == "done")].to_dict(
            "records"
        )
        for name in names:
            assert part[name].between(0.0, 1.0).all()
            assert row[f"value_{name}"] == pytest.approx(part[name].mean())
    assert points.set_index("method").loc["reference", "kl"] == pytest.approx(0.0, abs=1e-6)
    assert points["kl"][0] != 0.0
    report = front_report(points, values, names, Asked(0.25, 0.95, 20, 0), {})
    assert report["methods"]["mopo"]["share_of_exact"] is None
    shown = page_data(points, samples, report)["points"]
    assert [len(point["samples"]) for point in shown] == [2, 0, 2]
    assert set(shown[0]["samples"][0]["scores"]) == set(names)
    assert all(score is not None for score in shown[0]["samples"][0]["scores"].values())


def test_win_rates_of_a_front_are_the_judge_s_on_the_scale_of_the_labels(own: Own) -> None:
    """By hand: against every answer of the data to its prompt, the difference of scores times the scale."""
    on = own.ground(2, "judge")
    assert on.judge is not None
    found = on.value(ModelPolicy(own.other, 512)).per_prompt
    drawn = on.drawn(ModelPolicy(own.other, 512), on.asked["prompt"].tolist(), 2)
    for g, (prompt_id, prompt) in enumerate(
        on.asked[["prompt_id", "prompt"]].itertuples(index=False)
    ):
        theirs = own.responses.loc[own.responses["prompt_id"] == prompt_id, "response"].tolist()
        ours = [answer.text for answer in drawn[g]]
        mine, against = (on.judge.scores([prompt] * len(t), t) for t in (ours, theirs))
        for k, name in enumerate(NAMES[:2]):
            known = on.quality[on.judge.name]["objectives"][name]["calibration"]
            scale = 1.0 if known is None else known["scale"]
            gap = mine[:, None, k] - against[None, :, k]
            assert found[g, k] == pytest.approx((1 / (1 + np.exp(-scale * gap))).mean(), abs=1e-6)


@pytest.mark.slow
def test_values_by_labels_are_those_of_the_certificate_s_own_estimator(own: Own) -> None:
    """The mean over prompts is what ``label_values`` makes of the same policy's log-ratios."""
    on, names = own.ground(2, "labels"), NAMES[:2]
    assert on.estimator == "labels"
    policy = ModelPolicy(own.other, 512)
    test = own.responses.loc[own.responses["split"] == "test"]
    scores = (m.answer_logprobs(test["prompt"].tolist(), test["response"].tolist())
              for m in (policy, on.reference))  # fmt: skip
    logprobs = test[["response_id"]].assign(
        **dict(zip(("logprob_policy", "logprob_reference"), scores, strict=True))
    )
    rows = label_values(own.responses, own.comparisons, logprobs, names, PARAMS, 0)
    found = on.value(policy)
    np.testing.assert_allclose(found.per_prompt.mean(axis=0), rows["value"], atol=1e-6)
    reference = on.value(on.reference)
    np.testing.assert_allclose(reference.kl, 0.0, atol=1e-6)
    assert not np.allclose(reference.per_prompt, found.per_prompt, atol=1e-3)


def test_labels_speak_where_the_judge_cannot_tell_and_the_judge_where_it_is_asked(
    own: Own,
) -> None:
    """A model of two epochs on eight prompts tells nothing; prompts without labels of every objective are left out."""
    assert own.ground(2).estimator == "labels"
    assert own.ground(2, "judge").estimator == "preference_model"
    gone = own.comparisons["prompt_id"].eq(own.ground(2).asked["prompt_id"].iloc[0])
    fewer = replace(
        own, comparisons=own.comparisons.assign(helpfulness=own.comparisons["helpfulness"].mask(gone))
    )  # fmt: skip
    assert len(fewer.ground(2).asked) == len(own.ground(2).asked) - 1


def test_without_test_labels_the_judge_speaks_or_the_run_says_what_to_ask_for(own: Own) -> None:
    assert own.ground(4).estimator == "preference_model"
    with pytest.raises(InputError, match=r"no test prompt has labels of every objective"):
        own.ground(4, "labels")


def test_a_policy_that_gives_answers_no_probability_has_no_value_by_labels(own: Own) -> None:
    on = own.ground(2, "labels")
    assert on.judge is not None
    best = BestOfN(own.other, on.judge, (1.0, 1.0), 4)  # type: ignore[arg-type]
    candidates = [
        Candidate("reference", "trained", "reference", 0, ModelPolicy(own.reference, 512)),
        Candidate("best_of_n", "decode_time", "four", 0, best),
    ]
    points, _, _ = front_tables(candidates, on)
    assert list(points["status"]) == ["done", "failed"]
    assert "front.estimator=judge" in points["reason"][1]


def test_without_a_judge_labels_speak_and_without_both_the_run_says_what_to_do(
    own: Own, tmp_path: Path
) -> None:
    alone = replace(own, judge=tmp_path / "none")
    on = alone.ground(2)
    assert (on.judge, on.estimator) == (None, "labels")
    found = on.value(on.reference)
    np.testing.assert_allclose(found.per_prompt.mean(axis=0), 0.5, atol=0.25)
    for objectives, estimator in ((4, "auto"), (2, "judge")):
        with pytest.raises(InputError, match="have no judge"):
            alone.ground(objectives, estimator)  # type: ignore[arg-type]
