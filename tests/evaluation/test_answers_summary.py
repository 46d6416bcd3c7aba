"""Facts about the sampled answers."""

import logging
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluated import checked, estimate, judge
from mopo_pipeline.errors import InputError
from mopo_pipeline.evaluation.sampling import logprobs_of_test_split, prompts_of_test_split
from mopo_pipeline.evaluation.summary import evaluation_summary
from mopo_pipeline.evaluation.values import judged_values
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.sampling_units import sampling_units

ROBUST = {"comparisons": 0, "ess": None, "largest_weight": None, "clipped": None, "outside": {}}
ROBUST |= dict.fromkeys(("mean_ratio", "mean_ratio_low", "mean_ratio_high"))


def completions(**changes: Any) -> pd.DataFrame:
    """Two prompts, two answers of each model to each; the policy gains a nat on its own answers."""
    return pd.DataFrame(
        {
            "prompt_id": ["p", "p", "q", "q"] * 2,
            "completion_id": [f"{i}" for i in range(8)],
            "policy": ["reference"] * 4 + ["policy"] * 4,
            "prompt": "x",
            "completion": ["a b", "a b c", "", "a b", "b c", "b c", "b", "b c d"],
            "n_tokens": [3, 4, 1, 3, 3, 3, 2, 4],
            "logprob_policy": -2.0,
            "logprob_reference": [-1.0] * 4 + [-3.0, -3.5, -2.5, -3.0],
        }
    ).assign(**changes)


def summary(table: pd.DataFrame, units: pd.Series | None = None) -> dict[str, Any]:
    checks = checked(estimate("rules", [0.6, 0.52, 0.47]))
    metrics = {"split": "validation", "findings": [{"name": "given", "severity": "warning"}]}
    return evaluation_summary(
        table,
        checks,
        metrics,
        {"rules": judge()},
        ROBUST,
        {"well_formed": None},
        "files",
        1.0,
        units=units,
    )


def test_divergence_and_entropy_are_of_each_model_s_own_answers() -> None:
    found = summary(completions())
    assert found["kl_to_reference"] == pytest.approx(1.0)
    assert found["entropy"] == {"reference": 1.0, "policy": 2.0}
    assert found["words"] == {"reference": 1.75, "policy": 2.0}
    assert found["length_drift"] == pytest.approx(3.0 - 2.75)
    assert found["distinct_share"] == {"reference": 1.0, "policy": 0.75}
    assert found["empty_share"] == {"reference": 0.25, "policy": 0.0}
    assert (found["prompts"], found["samples_per_prompt"]) == (2, 2)
    assert found["estimator"] == "rules"
    assert [f["name"] for f in found["findings"]] == ["given"]


def test_the_error_of_the_divergence_counts_what_was_drawn_as_one() -> None:
    """Gains of 1.25 and .75 on two prompts; as one draw nothing says how draws differ."""
    apart = summary(completions())
    assert apart["kl_to_reference_se"] == pytest.approx(0.25)
    assert summary(completions(), pd.Series({"p": "g", "q": "h"})) == apart
    assert summary(completions(), pd.Series({"p": "g", "q": "g"}))["kl_to_reference_se"] is None


def test_what_is_shown_is_what_the_certificate_rests_on() -> None:
    """A judge once said *held* where the certificate's labels said *missed*, and the table showed the judge."""
    checks = checked(
        estimate("preference_model", [0.6, 0.52, 0.47]),
        estimate("doubly_robust", [0.6, 0.45, 0.47], effective=200.0),
    )
    given = (completions(), checks, {"findings": []}, {"preference_model": judge()}, ROBUST)
    for rests_on, shown in (("doubly_robust", "doubly_robust"), (None, "preference_model")):
        found = evaluation_summary(*given, {"well_formed": None}, "files", 1.0, rests_on=rests_on)
        assert found["estimator"] == shown


def test_cut_answers_are_counted_where_it_is_known_and_told_on_the_terminal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert summary(completions())["cut_share"] == {"reference": None, "policy": None}
    with caplog.at_level(logging.WARNING):
        found = summary(completions(ended=[True] * 5 + [False, True, True]))
    assert found["cut_share"] == {"reference": 0.0, "policy": 0.25}
    [cut] = [f for f in found["findings"] if f["severity"] == "error"]
    assert cut["name"] == "answers cut: policy"
    assert "answers cut: policy: 0.25 (limit 0.05)" in caplog.text


def test_judged_values_are_means_over_prompts_of_each_model() -> None:
    rates = np.array([0.2, 0.4, 0.4, 0.6, 0.8, 0.6, 1.0, 0.8])
    scores = pd.DataFrame(
        {"completion_id": [f"{i}" for i in range(8)], "judge": "rules"}
        | {f"help_win_rate{end}": rates for end in ("", "_from", "_to")}
    )
    found = judged_values(
        completions(),
        scores.sample(frac=1, random_state=0),
        sampling_units(completions().assign(split="test")),
        ("help",),
        EvaluateParams(bootstrap=50),
        0,
    ).set_index("policy")
    np.testing.assert_allclose(found.loc[["reference", "policy"], "value"], [0.4, 0.8])
    assert (found["n"] == 2).all()


def responses() -> pd.DataFrame:
    ids = [f"r{i}" for i in range(12)]
    split = ["train"] * 4 + ["test"] * 8
    prompts = [f"p{i // 2}" for i in range(12)]
    return pd.DataFrame(
        {
            "prompt_id": prompts,
            "response_id": ids,
            "prompt": prompts,
            "response": "x",
            "split": split,
        }
    )


def test_asked_prompts_are_distinct_test_prompts_drawn_by_seed() -> None:
    every = prompts_of_test_split(responses(), None, 0)
    assert every["prompt_id"].tolist() == ["p2", "p3", "p4", "p5"]
    some = [prompts_of_test_split(responses(), 2, seed)["prompt_id"].tolist() for seed in range(6)]
    assert all(len(set(chosen)) == 2 for chosen in some)
    assert len(set(map(tuple, some))) > 1
    with pytest.raises(InputError, match="test split holds no prompts"):
        prompts_of_test_split(responses().assign(split="train"), None, 0)


def test_a_test_response_the_reference_never_scored_is_named() -> None:
    known = pd.DataFrame({"response_id": [f"r{i}" for i in range(11)], "logprob": 0.0})
    with pytest.raises(InputError, match="no row for response 'r11'"):
        logprobs_of_test_split(None, responses(), known, EvaluateParams())  # type: ignore[arg-type]
