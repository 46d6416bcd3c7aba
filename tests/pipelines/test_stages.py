"""Every stage as Kedro runs it, on a catalog in memory: what it takes, makes, and must not change."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kedro.config import OmegaConfigLoader
from kedro.framework.hooks import hook_impl
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner
from pydantic import BaseModel

from conftest import PROJECT
from mopo_pipeline.evaluation.looks import LooksFile
from mopo_pipeline.hooks.provenance import WITHOUT_EFFECT
from mopo_pipeline.parameters.by_model import follow_model
from mopo_pipeline.parameters.groups import GROUPS
from mopo_pipeline.pareto.verdicts import VERDICTS, verdict
from mopo_pipeline.pipelines import evaluate, ingest, plan, preferences, reference, report, train
from mopo_pipeline.pipelines.stage import reads
from mopo_pipeline.reporting.picture import themed
from mopo_pipeline.settings import CONFIG_LOADER_ARGS

pytestmark = pytest.mark.slow

Made = dict[str, Any]
NAMES = ["helpfulness", "harmlessness", "conciseness"]


class Kept(MemoryDataset):
    """A dataset in memory that outlives its last reader, as a file does."""

    def _release(self) -> None:
        pass


class Unread:
    """Stands where a node says it reads nothing: who does fails."""

    def _read(self, *_: Any) -> Any:
        raise AssertionError("a parameter is read that the node's tags leave out")

    __getattr__ = __bool__ = __eq__ = __call__ = __iter__ = __int__ = __float__ = _read  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


class TagsHold:
    """Every node gets of the evaluation's parameters what its tags say it reads, and no more."""

    @hook_impl
    def before_node_run(self, node: Node, inputs: Made) -> Made:
        given = inputs.get("params:evaluate")
        return {} if given is None else {"params:evaluate": _named(node, "evaluate", given)}


def _named(node: Node, key: str, value: Any) -> Any:
    """A value of parameters without what lies below its key and the node does not read."""
    if not isinstance(value, BaseModel):
        known = reads(node, key) or key.rpartition(".")[2] in WITHOUT_EFFECT
        return value if known else Unread()
    fields = {
        name: _named(node, f"{key}.{name}", getattr(value, name))
        for name in type(value).model_fields
    }
    return value.model_copy(update=fields)


def run(stage: Any, given: Made) -> Made:
    """Run a stage on what was made before; everything made so far and by the stage."""
    pipeline: Pipeline = stage.create_pipeline()
    missing = pipeline.inputs() - given.keys()
    assert not missing
    catalog = DataCatalog({name: Kept(value) for name, value in given.items()})
    for name in pipeline.all_outputs():
        catalog[name] = Kept()
    hooks = _create_hook_manager()
    hooks.register(TagsHold())
    SequentialRunner().run(pipeline, catalog, hooks)
    return given | {name: catalog.load(name) for name in pipeline.all_outputs()}


@pytest.fixture(scope="module")
def parameters(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Parameters of the ``test`` environment, typed, as nodes get them."""
    root = str(tmp_path_factory.mktemp("data"))
    loader = OmegaConfigLoader(
        conf_source=str(PROJECT / "conf"),
        env="test",
        runtime_params={"data_root": root},
        **CONFIG_LOADER_ARGS,
    )
    raw = follow_model(loader["parameters"])
    raw["reference"]["fit"] |= {"steps": 60, "save_every": 60}
    return {f"params:{name}": model.model_validate(raw[name]) for name, model in GROUPS.items()}


@pytest.fixture(scope="module")
def ingested(parameters: Made) -> Made:
    return run(ingest, parameters)


@pytest.fixture(scope="module")
def preferred(ingested: Made) -> Made:
    return run(preferences, ingested)


@pytest.fixture(scope="module")
def planned(preferred: Made) -> Made:
    return run(plan, preferred)


@pytest.fixture(scope="module")
def referred(planned: Made) -> Made:
    return run(reference, planned)


@pytest.fixture(scope="module")
def trained(referred: Made) -> Made:
    return run(train, referred)


@pytest.fixture(scope="module")
def evaluated(trained: Made, tmp_path_factory: pytest.TempPathFactory) -> Made:
    looks = LooksFile(tmp_path_factory.mktemp("looks"))
    return run(evaluate, trained | {"looks": looks})


@pytest.fixture(scope="module")
def reported(evaluated: Made) -> Made:
    return run(report, evaluated)


def test_ingest_makes_responses_and_labels_in_three_splits(ingested: Made) -> None:
    responses, judgements = ingested["responses"], ingested["judgements"]
    assert set(responses["split"]) == {"train", "validation", "test"}
    assert (responses.groupby("prompt_id")["split"].nunique() == 1).all()
    assert set(judgements["response_a"]) <= set(responses["response_id"])
    assert set(NAMES) <= set(judgements)


def test_preferences_make_win_rates_around_one_half(preferred: Made) -> None:
    win_rates = preferred["win_rates"]
    assert win_rates["response_id"].tolist() == preferred["responses"]["response_id"].tolist()
    assert win_rates[NAMES].stack().between(0, 1).all()
    np.testing.assert_allclose(win_rates[NAMES].mean(), 0.5, atol=0.02)
    assert len(preferred["predictions"]) == len(preferred["comparisons"])
    assert (Path(preferred["preference_model"]) / "preference_model.json").is_file()


def test_the_plan_meets_its_thresholds_with_a_weight_for_every_training_response(
    planned: Made,
) -> None:
    made, weights = planned["training_plan"], planned["row_weights"]
    assert all(made.bounds[n] >= b - 1e-6 for n, b in made.thresholds.items())
    train_ids = planned["responses"].query("split == 'train'")["response_id"]
    assert set(weights["response_id"]) == set(train_ids)
    assert weights["weight"].mean() == pytest.approx(1.0)


def test_the_reference_scores_every_response(referred: Made) -> None:
    scored = referred["reference_logprobs"]
    assert set(scored["response_id"]) == set(referred["responses"]["response_id"])
    assert (scored["logprob"] < 0).all()
    losses = referred["reference_log"]["weighted_nll"].dropna()
    assert losses.iloc[-1] < losses.iloc[0]


def test_training_leaves_a_policy_with_its_card(trained: Made) -> None:
    policy = Path(trained["policy"])
    assert (policy / "model.safetensors").is_file()
    assert "measured by the evaluate stage" in (policy / "README.md").read_text()
    first = Path(trained["reference_policy"]) / "model.safetensors"
    assert (policy / "model.safetensors").read_bytes() != first.read_bytes()


def test_evaluation_gives_every_threshold_a_verdict_by_every_estimator(evaluated: Made) -> None:
    checks = evaluated["threshold_checks"].set_index("objective")
    for estimator in ("exact", "rules", "preference_model", "doubly_robust", "labels"):
        for name in NAMES[1:]:
            row = checks.loc[name]
            said = row[f"{estimator}_verdict"]
            if said.startswith("undecided"):
                doubt = row[f"{estimator}_doubt"]
                assert row[f"{estimator}_effective"] < 30 or doubt.startswith("judge cannot tell")
                continue
            numbers = (row[f"{estimator}_{c}"] for c in ("value", "ci_low", "ci_high"))
            assert said == verdict(*numbers, row["threshold"])
            assert said in VERDICTS
    tested = evaluated["responses"].query("split == 'test'")["prompt_id"].nunique()
    assert (checks["exact_n"] == tested).all()


def test_evaluation_holds_each_judge_against_test_labels(evaluated: Made) -> None:
    pairs = evaluated["comparisons"].query("split == 'test'")
    quality = evaluated["judge_quality"]
    assert set(quality) == {"rules", "preference_model"}
    for judge in quality.values():
        for name, found in judge["objectives"].items():
            assert found["comparisons"] == (pairs[name].notna() & (pairs[name] != 0.5)).sum()
    assert quality["rules"]["objectives"]["harmlessness"]["accuracy"] > 0.6
    scale = quality["rules"]["objectives"]["harmlessness"]["calibration"]
    assert 0 < scale["low"] < 1 < scale["high"]
    assert 0 <= quality["preference_model"]["unknown_words"] < 1


def test_sampled_and_enumerated_values_of_the_reference_agree(evaluated: Made) -> None:
    values = evaluated["objective_values"].query("policy == 'reference'")
    table = values.pivot(index="objective", columns="estimator", values="value")
    spread = values.pivot(index="objective", columns="estimator", values="se")["rules"]
    assert ((table["rules"] - table["exact"]).abs() < 5 * spread + 0.02).all()


def test_the_card_of_the_policy_says_verdicts(evaluated: Made) -> None:
    card = evaluated["model_card"]
    assert "attained | 95% interval | test prompts | verdict |" in card
    rows = [line for line in card.splitlines() if "| constrained |" in line]
    said = evaluated["threshold_checks"]["exact_verdict"].tolist()[1:]
    assert [row.split("|")[-2].strip() for row in rows] == said


def test_the_certificate_rests_on_what_was_evaluated_and_its_look_is_written_down(
    evaluated: Made,
) -> None:
    found = evaluated["certificate"]
    tested = evaluated["responses"].query("split == 'test'")["prompt_id"].nunique()
    assert (found.kind, found.prompts) == ("exact", tested)
    assert [entry.objective for entry in found.thresholds] == NAMES[1:]
    checks = evaluated["threshold_checks"].set_index("objective")
    assert [entry.value for entry in found.thresholds] == checks["exact_value"].tolist()[1:]
    assert found.verdict == "undecidable"
    assert f"{tested} test prompts, 20 needed" in found.reasons[0]
    assert (found.look, found.looks) == (1, 1)
    [[look]] = json.loads(evaluated["looks"].path.read_text()).values()
    assert look["policy"] == found.policy
    assert "Undecidable: " in evaluated["model_card"]


def test_the_report_says_the_same_as_the_checks(reported: Made) -> None:
    summary, checks = reported["run_summary"], reported["threshold_checks"]
    assert summary["estimator"] == "exact"
    assert [o["verdict"] or "" for o in summary["objectives"]] == checks["exact_verdict"].tolist()
    assert [o["held"] for o in summary["objectives"][1:]] == [
        said == "held" for said in checks["exact_verdict"].tolist()[1:]
    ]
    json.dumps(summary, allow_nan=False)
    assert reported["report"].startswith("<!doctype html>")
    assert isinstance(reported["pareto_report"], pd.DataFrame)


def test_the_page_shows_the_very_pictures_that_are_kept(reported: Made) -> None:
    figures = re.findall(r"<figure.*?</figure>", reported["report"], flags=re.DOTALL)
    shown = [svg for one in figures for svg in re.findall(r"<svg.*?</svg>", one, flags=re.DOTALL)]
    kept = [made for name, made in reported.items() if name.endswith("_figure")]
    assert len(kept) == len(report.pipeline.FIGURES)
    drawn = {svg for picture in kept for svg in (picture.svg, picture.narrow)}
    assert set(shown) == {themed(svg).strip() for svg in drawn}
    assert all(picture.png.startswith(b"\x89PNG") for picture in kept)
