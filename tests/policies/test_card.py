"""A policy's card can be read by the Hub's tools as well as by people."""

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from evaluated import PLAN, certificate, checked, estimate
from mopo_pipeline.datasets import ModelCardDataset
from mopo_pipeline.evaluation.certificate import certificate_text
from mopo_pipeline.parameters.evaluate import SamplingParams
from mopo_pipeline.policies.card import Measured, Origin, model_card, origin
from mopo_pipeline.policies.export import export_policy
from mopo_pipeline.training.checkpoints import WriteError

ORIGIN = Origin(
    "someone/small",
    "votes.csv",
    {"train": 30, "test": 10},
    400,
    0.7,
    0.9,
    date(2026, 3, 1),
    "apache-2.0",
)


def exported(tmp_path: Path, *, adapter: bool = False) -> Path:
    source = tmp_path / "trained"
    source.mkdir()
    (source / "config.json").write_text("{}")
    if adapter:
        (source / "adapter_config.json").write_text('{"base_model_name_or_path": "/home/me/base"}')
    facts = {
        "plan": PLAN.to_json(),
        "data_fingerprint": "d" * 16,
        "config_fingerprint": "c" * 16,
        "base_fingerprint": "b" * 64,
    }
    return export_policy(source, tmp_path, facts)


def test_a_copy_without_room_says_that_the_training_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = ("a/config.json", "b/config.json", "[Errno 28] No space left on device: 'a/config.json'")

    def fail(*_: Any, **__: Any) -> None:
        raise shutil.Error([full, full])

    monkeypatch.setattr(shutil, "copytree", fail)
    with pytest.raises(
        WriteError, match=r"\(\[Errno 28\] No space left on device: 'a/config"
    ) as caught:
        exported(tmp_path)
    assert f"is whole in {tmp_path / 'trained'} and the next run takes it" in str(caught.value)


@pytest.mark.parametrize(("adapter", "library"), [(False, "transformers"), (True, "peft")])
def test_the_hub_reads_library_and_tags_from_the_card(
    tmp_path: Path, adapter: bool, library: str
) -> None:
    card = ModelCard.load(exported(tmp_path, adapter=adapter) / "README.md")
    assert card.data.library_name == library
    assert card.data.tags == ["multi-objective", "preference-optimisation", "mopo"]
    assert card.text.strip().startswith("# Policy trained with thresholds")


def test_the_card_says_the_plan_in_numbers(tmp_path: Path) -> None:
    text = ModelCard.load(exported(tmp_path) / "README.md").text
    assert "- KL of the planned policy to the reference: 0.200 nats per response" in text
    assert "- effective share of training rows: 80.0%" in text
    assert "| harm | constrained | 0.500 | 0.520 | 0.500 | 0.300 | active |" in text
    assert f"reference model `{'b' * 16}`" in text
    assert "{{" not in text
    assert "{%" not in text


def measured(values: list[float], **changes: Any) -> Measured:
    checks = checked(estimate("preference_model", values))
    return Measured(checks, "preference_model", certificate(checks), replace(ORIGIN, **changes))


def test_the_card_says_what_the_policy_was_made_of_and_who_decided(tmp_path: Path) -> None:
    card = ModelCard(model_card(exported(tmp_path), measured([0.6, 0.52, 0.48])))
    assert (card.data.base_model, card.data.license) == ("someone/small", "apache-2.0")
    for said in (
        "- base model: `someone/small`",
        "- data: votes.csv; 30 train prompts, 10 test prompts; 400 judgements",
        "- licence: apache-2.0",
        "- measured on 2026-03-01, on answers sampled at temperature 0.7, top-p 0.9",
        "The estimator `preference_model` judged.",
        "temperature=0.7, top_p=0.9, top_k=0",
        "For llama.cpp, where it knows architecture and tokenizer:",
    ):
        assert said in card.text


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        ("exact", "on every possible answer by its probability (temperature 1)"),
        ("labels", "by labels of the data's test answers, re-weighted to the policy"),
        ("rules", "on answers sampled at temperature 0.7, top-p 0.9"),
    ],
)
def test_a_card_says_what_its_values_were_measured_on(
    tmp_path: Path, estimator: str, said: str
) -> None:
    checks = checked(estimate(estimator, [0.6, 0.52, 0.48], effective=200.0))
    found = Measured(checks, estimator, certificate(checks), ORIGIN)
    assert f"- measured on 2026-03-01, {said}" in model_card(exported(tmp_path), found)


def test_the_table_of_a_card_says_what_was_drawn_and_dashes_where_no_interval_is_known(
    tmp_path: Path,
) -> None:
    checks = checked(estimate("exact", [0.6, 0.52, 0.48]).assign(ci_low=None, ci_high=None))
    grouped = Measured(checks, "exact", certificate(checks, prompts=80, units=40), ORIGIN)
    text = model_card(exported(tmp_path), grouped)
    assert "| attained | 95% interval | groups of test prompts | verdict |" in text
    assert "| 0.520 | – | 40 | undecided |" in text and "nan" not in text


def test_a_card_says_a_reason_once_and_leaves_names_as_they_are(tmp_path: Path) -> None:
    checks = checked(estimate("preference_model", [0.6, 0.52, 0.48]))
    few = Measured(checks, "preference_model", certificate(checks, prompts=9, units=9), ORIGIN)
    text = model_card(exported(tmp_path), few)
    assert "Undecidable: 9 test prompts, 20 needed" in text
    assert text.count("20 needed") == 1
    refused = certificate(checks, refused="of KL nothing is known")
    assert "Undecidable: of KL nothing is known." in certificate_text(refused)


def test_a_card_names_a_file_of_the_data_and_not_where_it_lies_here() -> None:
    told = {"source": "/home/me/votes.csv", "prompts": {"test": 3}, "judgements": 4}
    made_of = origin("scratch", told, SamplingParams(temperature=0.7))
    assert (made_of.source, made_of.temperature, made_of.top_p) == ("votes.csv", 0.7, 1.0)


def test_a_base_or_licence_that_nobody_named_is_not_made_up(tmp_path: Path) -> None:
    text = model_card(
        exported(tmp_path), measured([0.6, 0.52, 0.48], model="scratch", licence=None)
    )
    assert "licence: not stated (`export.licence`); that of the data applies" in text
    assert "base model: none, a small model trained from scratch" in text
    assert "llama.cpp" not in text  # whose converter refuses the words of such a model
    head = ModelCard(text).data
    assert (head.base_model, head.license) == (None, None)


def test_a_card_claims_to_hold_thresholds_only_where_that_is_certified(tmp_path: Path) -> None:
    policy = exported(tmp_path)
    certified = model_card(policy, measured([0.6, 0.52, 0.48]))
    assert "with harm, short at or above their thresholds, as certified below" in certified
    for text in (model_card(policy, measured([0.6, 0.52, 0.44])), model_card(policy)):
        assert "Trained to maximise **help**" in text
        assert "Whether it holds them, the table and the certificate say" in text
        assert "while holding" not in text


def test_a_policy_that_nothing_could_judge_says_so_and_its_card_is_finished(tmp_path: Path) -> None:
    policy = exported(tmp_path)
    dataset = ModelCardDataset(filepath=str(policy / "README.md"))
    assert not dataset.exists()
    blind = replace(measured([0.6, 0.52, 0.48]), estimator=None)
    dataset.save(model_card(policy, blind))
    assert dataset.exists()
    assert "Nothing could judge what the policy attained." in dataset.load()
