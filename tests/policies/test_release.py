"""A policy leaves the project with its certificate, whole and ready to load, or not at all."""

import json
import os
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from huggingface_hub import HfApi

from evaluated import PLAN, certificate, checked, estimate
from mopo_pipeline.errors import InputError
from mopo_pipeline.evaluation.certificate import Certificate
from mopo_pipeline.language.adapters import add_adapter
from mopo_pipeline.language.loading import load_model, model_digest
from mopo_pipeline.language.logprobs import sequence_logprobs
from mopo_pipeline.parameters.evaluate import SamplingParams
from mopo_pipeline.parameters.export import ExportParams
from mopo_pipeline.parameters.fit import LoraParams
from mopo_pipeline.policies.card import Measured, Origin
from mopo_pipeline.policies.export import export_policy
from mopo_pipeline.policies.release import check_gate, write_release
from tiny_training import tiny_model, tiny_texts

ORIGIN = Origin("scratch", "votes.csv", {"test": 10}, 400, 0.7, 0.9, date(2026, 3, 1))
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
        Measured(checks, "exact", found, ORIGIN),
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


def test_where_nothing_is_to_certify_the_policy_is_exported_and_not_called_certified(
    policy: Path,
) -> None:
    alone = replace(PLAN, objectives=("help",), thresholds={})
    found = certificate(checked(estimate("exact", [0.6] * 3), plan=alone), alone)
    check_gate(policy, replace(found, policy=model_digest(policy)[:16]), uncertified=False)
    assert not found.certified


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
            Measured(CHECKS, "exact", other, ORIGIN),
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


@pytest.mark.parametrize("merge", [True, False], ids=["merged", "adapter"])
def test_the_lines_of_the_card_run(
    adapter: Path,
    reference: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    merge: bool,
) -> None:
    release(adapter, reference, tmp_path / "release", merge=merge)
    monkeypatch.chdir(tmp_path / "release")
    card = Path("policy/README.md").read_text()
    [lines] = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    question = "How do I remove a stain?"
    assert question in lines
    scope: dict[str, Any] = {}
    capsys.readouterr()
    exec(lines.replace(question, "red old warm"), scope)
    asked = scope["prompt"]["input_ids"].shape[1]
    assert scope["answer"].shape[1] > asked
    said = scope["tokenizer"].decode(scope["answer"][0, asked:], skip_special_tokens=True)
    assert capsys.readouterr().out == said + "\n"


def test_what_is_exported_can_be_read_by_whom_the_user_lets_read(
    policy: Path, reference: Path, tmp_path: Path
) -> None:
    before = os.umask(0o027)
    try:
        release(policy, reference, tmp_path / "release")
    finally:
        os.umask(before)
    modes = {p.stat().st_mode & 0o777 for p in (tmp_path / "release").rglob("*") if p.is_file()}
    assert modes == {0o640}


class Hub:
    """A Hub that takes everything, or nothing."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.refusal = refusal
        self.taken: list[tuple[str, bool, set[str]]] = []

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> str:
        if self.refusal is not None:
            raise self.refusal
        self.taken.append((repo_id, private and exist_ok, set()))
        return f"https://hub/{repo_id}"

    def upload_folder(self, *, folder_path: Path, repo_id: str, commit_message: str) -> None:
        assert commit_message
        assert repo_id == self.taken[-1][0]
        self.taken[-1][2].update(p.name for p in folder_path.iterdir())


def test_a_policy_goes_to_the_hub_only_where_a_repository_is_named(
    policy: Path, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    assert release(policy, reference, tmp_path / "release")["hub"] is None
    assert hub.taken == []
    record = release(policy, reference, tmp_path / "release", repo_id="me/policy")
    assert record["hub"] == "https://hub/me/policy"
    [(name, private, files)] = hub.taken
    assert (name, private) == ("me/policy", True)
    assert {"README.md", "certificate.json", "generation_config.json", "model.safetensors"} <= files


def test_a_hub_that_refuses_is_one_line_and_the_export_stays(
    policy: Path, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(ConnectionError("no route\nto host"))
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    with pytest.raises(InputError, match=r"'me/policy': .*\(no route\).*hf auth login") as error:
        release(policy, reference, tmp_path / "release", repo_id="me/policy")
    assert "\n" not in str(error.value)
    assert (tmp_path / "release/policy/README.md").is_file()


def test_a_machine_without_a_network_is_one_line_and_the_export_stays(
    policy: Path, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub's own client says so by an error that is none of the system's."""

    def nowhere() -> HfApi:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        return HfApi(endpoint="http://127.0.0.1:9", token=False)

    monkeypatch.setattr("huggingface_hub.HfApi", nowhere)
    with pytest.raises(InputError, match=r"'me/policy': the Hub did not take the policy") as error:
        release(policy, reference, tmp_path / "release", repo_id="me/policy")
    assert "\n" not in str(error.value)
    assert (tmp_path / "release/policy/README.md").is_file()


def test_an_adapter_without_its_base_does_not_go_to_the_hub(
    adapter: Path, reference: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"export\.merge=true"):
        release(adapter, reference, tmp_path / "release", merge=False, repo_id="me/policy")
    assert list(tmp_path.iterdir()) == []
