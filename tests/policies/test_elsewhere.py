"""A policy trained elsewhere comes in by its files alone, once it is known to speak the reference's tokens."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluated import PLAN, certificate, checked, estimate
from mopo_pipeline.errors import InputError
from mopo_pipeline.evaluation.certificate import certificate_text
from mopo_pipeline.fronts.jobs import check_trains
from mopo_pipeline.language.adapters import add_adapter
from mopo_pipeline.language.loading import load_model, model_digest, trained_elsewhere
from mopo_pipeline.language.logprobs import sequence_logprobs
from mopo_pipeline.parameters.fit import LoraParams
from mopo_pipeline.parameters.groups import validate_parameters
from mopo_pipeline.parameters.train import TrainParams
from mopo_pipeline.policies.elsewhere import taken_as_it_is
from mopo_pipeline.policies.export import export_policy
from mopo_pipeline.policies.reference_logprobs import reference_logprobs
from tiny_training import tiny_model, tiny_texts


def responses() -> pd.DataFrame:
    prompts, answers = tiny_texts()
    ids = [f"r{i}" for i in range(40)]
    return pd.DataFrame(
        {"prompt_id": ids, "response_id": ids, "prompt": prompts, "response": answers}
    )


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    return tiny_model(tmp_path / "reference_policy")


def taken(directory: Path, reference: Path) -> Path:
    scored = reference_logprobs(responses(), reference, None, reference.parent)
    params = TrainParams(policy=directory, work_dir=reference.parent)
    return taken_as_it_is(params, reference, responses(), scored)


def logprobs(*loaded: Any) -> np.ndarray:
    return sequence_logprobs(*loaded, *tiny_texts()).logprob


def adapter_of(base: Path, target: Path) -> Path:
    import torch

    model = add_adapter(
        load_model(base, device="cpu")[0], LoraParams(r=2, target_modules=("q_proj",)), 0
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.fill_(0.3)
    model.save_pretrained(target)
    return target


def test_a_model_comes_in_without_checkpoints_pickles_and_hidden_files(
    reference: Path, tmp_path: Path
) -> None:
    trained = tiny_model(tmp_path / "sft", seed=1)
    for name in ("training_args.bin", ".secret.json", "optimizer.pt"):
        (trained / name).touch()
    tiny_model(trained / "checkpoint-5", seed=2)
    made = taken(trained, reference)
    names = {file.name for file in made.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not names & {"training_args.bin", ".secret.json", "optimizer.pt", "checkpoint-5"}
    assert (logprobs(*load_model(made)) == logprobs(*load_model(trained))).all()


def test_an_adapter_without_a_tokenizer_takes_the_reference_s_and_is_left_as_it_was(
    reference: Path, tmp_path: Path
) -> None:
    trained = adapter_of(reference, tmp_path / "sft")
    before = model_digest(trained)
    exported = export_policy(
        taken(trained, reference),
        tmp_path,
        {
            "plan": PLAN.to_json(),
            "data_fingerprint": "d",
            "config_fingerprint": "c",
            "base_fingerprint": model_digest(reference),
            "trained_elsewhere": True,
        },
    )
    assert model_digest(trained) == before
    assert trained_elsewhere(exported)
    assert not any(file.is_symlink() for file in exported.iterdir())
    assert (
        json.loads((exported / "adapter_config.json").read_text())["base_model_name_or_path"]
        == "reference_policy"
    )
    gap = logprobs(*load_model(exported, base=reference)) - logprobs(*load_model(reference))
    assert np.abs(gap).max() > 0.01
    assert "Trained elsewhere" in (exported / "README.md").read_text()


def test_a_policy_that_reads_less_than_the_reference_is_refused_with_the_context_of_both(
    reference: Path, tmp_path: Path
) -> None:
    trained = tiny_model(tmp_path / "sft", seed=1)
    said = json.loads((trained / "config.json").read_text())
    (trained / "config.json").write_text(json.dumps(said | {"max_position_embeddings": 6}))
    with pytest.raises(InputError, match=r"has a context of 6 tokens, but .* up to \d+: set ref"):
        taken(trained, reference)


def test_a_policy_that_writes_other_tokens_is_refused_by_its_first_row(
    reference: Path, tmp_path: Path
) -> None:
    trained = tiny_model(tmp_path / "sft", seed=1)
    _, tokenizer = load_model(trained)
    tokenizer.chat_template = "{% for m in messages %}red {{ m['content'] }} {% endfor %}<answer>"
    tokenizer.save_pretrained(trained)
    with pytest.raises(InputError, match=r"writes 40 of 40 responses with other tokens .* 'r0'"):
        taken(trained, reference)


def test_an_adapter_of_another_base_is_refused(reference: Path, tmp_path: Path) -> None:
    other = tiny_model(tmp_path / "other", seed=4)
    with pytest.raises(InputError, match=r"is an adapter of .*other, which is not the reference"):
        taken(adapter_of(other, tmp_path / "sft"), reference)


@pytest.mark.parametrize(
    ("name", "said"),
    [("nowhere", "no such folder"), ("empty", "is not a model"), ("broken", "no finite")],
)
def test_what_is_no_policy_is_refused_in_a_line(
    name: str, said: str, reference: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    model, tokenizer = load_model(reference)
    model.model.norm.weight.data.fill_(float("nan"))
    model.save_pretrained(tmp_path / "broken")
    tokenizer.save_pretrained(tmp_path / "broken")
    with pytest.raises(InputError, match=said) as error:
        taken(tmp_path / name, reference)
    assert "\n" not in str(error.value)


def test_the_certificate_of_a_policy_from_elsewhere_says_what_it_takes_on_trust() -> None:
    checks = checked(estimate("exact", [0.6, 0.52, 0.48]))
    own, other = certificate(checks), certificate(checks, elsewhere=True)
    assert other.verdict == own.verdict == "certified"
    [added] = set(other.assumed) - set(own.assumed)
    assert "trained elsewhere" in added
    assert added in certificate_text(other)


def test_a_sweep_does_not_take_one_policy_for_every_point(tmp_path: Path) -> None:
    check_trains(TrainParams(work_dir=tmp_path))
    with pytest.raises(InputError, match="every run of this sweep"):
        check_trains(TrainParams(work_dir=tmp_path, policy=tmp_path))


def test_a_policy_taken_as_it_is_starts_no_training(tmp_path: Path) -> None:
    given = {"train": {"work_dir": tmp_path, "policy": "a", "start": "b"}}
    with pytest.raises(InputError, match="give one of them"):
        validate_parameters(given)
