"""A policy's card can be read by the Hub's tools as well as by people."""

from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from evaluated import PLAN
from mopo_pipeline.policies.export import export_policy


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
    assert "{" not in text
