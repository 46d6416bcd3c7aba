"""A policy leaves the project with its certificate, whole and ready to load, or not at all."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluated import PLAN, certificate, checked, estimate
from mopo_pipeline.errors import InputError
from mopo_pipeline.evaluation.certificate import Certificate
from mopo_pipeline.language.adapters import add_adapter
from mopo_pipeline.language.loading import load_model, model_digest
from mopo_pipeline.language.logprobs import sequence_logprobs
from mopo_pipeline.parameters.evaluate import SamplingParams
from mopo_pipeline.parameters.export import ExportParams
from mopo_pipeline.parameters.fit import LoraParams
from mopo_pipeline.policies.export import export_policy
from mopo_pipeline.policies.release import write_release
from tiny_training import tiny_model, tiny_texts

CHECKS = checked(estimate("exact", [0.6, 0.52, 0.48]))
SHORT = checked(estimate("exact", [0.6, 0.52, 0.44]))


def exported(trained: Path, reference: Path) -> Path:
    facts = {
        "plan": PLAN.to_json(),
        "data_fingerprint": "d",
        "config_fingerprint": "c",
        "base_fingerprint": model_digest(reference),
    }
    return export_policy(trained, reference.parent, facts)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "reference_policy")


@pytest.fixture(scope="module")
def policy(reference: Path) -> Path:
    trained = tiny_model(reference.parent / "trained", seed=1)
    return exported(trained, reference)


@pytest.fixture(scope="module")
def adapter(reference: Path) -> Path:
    """An adapter that changes what its base says."""
    import torch

    base, tokenizer = load_model(reference, device="cpu")
    model = add_adapter(base, LoraParams(r=2, target_modules=("q_proj", "v_proj")), seed=0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.fill_(0.3)
    trained = reference.parent / "adapter"
    model.save_pretrained(trained)
    tokenizer.save_pretrained(trained)
    return exported(trained, reference)


def release(
    policy: Path, reference: Path, path: Path, checks: pd.DataFrame = CHECKS, **given: Any
) -> dict[str, Any]:
    prompts, answers = tiny_texts()
    responses = pd.DataFrame({"prompt": prompts, "response": answers})
    found = certificate(checks, policy=model_digest(policy)[:16])
    return write_release(
        policy,
        reference,
        responses,
        checks,
        "exact",
        found,
        ExportParams(path=path, **given),
        SamplingParams(temperature=0.7, top_p=0.9),
    )


def logprobs(model: Any, tokenizer: Any) -> np.ndarray:
    prompts, answers = tiny_texts()
    return sequence_logprobs(model, tokenizer, prompts, answers, max_length=32).logprob


def test_a_certified_policy_is_exported_with_card_certificate_and_how_to_sample(
    policy: Path, reference: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    record = release(policy, reference, tmp_path / "out/release")
    place = tmp_path / "out/release/policy"
    assert (record["verdict"], record["merged"]) == ("certified", False)
    loaded = AutoModelForCausalLM.from_pretrained(place), AutoTokenizer.from_pretrained(place)
    np.testing.assert_allclose(logprobs(*loaded), logprobs(*load_model(policy)), atol=1e-4)
    written = json.loads((place / "certificate.json").read_text())
    assert Certificate.from_json(written).certified
    card = (place / "README.md").read_text()
    assert "Certified (exact) at 97.0% joint confidence" in card
    assert "without a certificate" not in card
    settings = GenerationConfig.from_pretrained(place)
    assert (settings.do_sample, settings.temperature, settings.top_p) == (True, 0.7, 0.9)
    assert settings.max_new_tokens > 5
    assert settings.eos_token_id == [loaded[1].eos_token_id]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["release"]


def test_without_a_certificate_nothing_is_written_and_the_error_says_what_is_short(
    policy: Path, reference: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        InputError, match=r"not certified.*short: missed.*uncertified=true"
    ) as error:
        release(policy, reference, tmp_path / "release", SHORT)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_told_so_an_uncertified_policy_is_exported_and_its_card_says_it(
    policy: Path, reference: Path, tmp_path: Path
) -> None:
    record = release(policy, reference, tmp_path / "release", SHORT, uncertified=True)
    assert record["verdict"] == "not certified"
    card = (tmp_path / "release/policy/README.md").read_text()
    assert "**Exported without a certificate** (export.uncertified). Not certified (exact)" in card


def test_a_certificate_of_another_policy_opens_nothing(
    policy: Path, reference: Path, tmp_path: Path
) -> None:
    other = certificate(CHECKS, policy="0" * 16)
    with pytest.raises(
        InputError, match=r"holds another one: run kedro run --from-nodes=evaluate\.certify"
    ):
        write_release(
            policy,
            reference,
            pd.DataFrame(),
            CHECKS,
            "exact",
            replace(other),
            ExportParams(path=tmp_path / "release", uncertified=True),
            SamplingParams(),
        )


def test_a_merged_adapter_says_what_the_adapter_says_and_needs_no_base(
    adapter: Path, reference: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    record = release(adapter, reference, tmp_path / "release")
    place = tmp_path / "release/policy"
    assert record["merged"] is True
    assert not (place / "adapter_config.json").exists()
    assert not (tmp_path / "release/reference_policy").exists()
    merged = AutoModelForCausalLM.from_pretrained(place), AutoTokenizer.from_pretrained(place)
    wrapped = logprobs(*load_model(adapter, base=reference))
    np.testing.assert_allclose(logprobs(*merged), wrapped, atol=1e-3)
    assert np.abs(wrapped - logprobs(*load_model(reference))).max() > 0.1
    assert "AutoModelForCausalLM" in (place / "README.md").read_text()
    assert "PEFT adapter" not in (place / "README.md").read_text()


def test_an_adapter_left_as_it_is_has_its_base_beside_it(
    adapter: Path, reference: Path, tmp_path: Path
) -> None:
    release(adapter, reference, tmp_path / "release", merge=False)
    place = tmp_path / "release/policy"
    np.testing.assert_allclose(
        logprobs(*load_model(place)), logprobs(*load_model(adapter, base=reference)), atol=1e-4
    )
    assert (tmp_path / "release/reference_policy/model.safetensors").is_file()
    assert "PEFT adapter" in (place / "README.md").read_text()


def test_an_earlier_export_is_replaced_and_anything_else_is_left_alone(
    policy: Path, reference: Path, tmp_path: Path
) -> None:
    path = tmp_path / "release"
    release(policy, reference, path)
    (path / "policy/left_over").touch()
    release(policy, reference, path)
    assert not (path / "policy/left_over").exists()
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").touch()
    with pytest.raises(InputError, match="holds something that is no exported policy"):
        release(policy, reference, home)
    assert [p.name for p in home.iterdir()] == ["thesis.tex"]
