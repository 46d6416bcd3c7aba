"""Models, tokens and the row schedule: edges that would cost a night if found later."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.loading import load_model, load_tokenizer
from mopo_pipeline.language.logprobs import sequence_logprobs
from mopo_pipeline.language.places import materialise
from mopo_pipeline.language.scratch import build_model, build_tokenizer
from mopo_pipeline.language.tokens import encode
from mopo_pipeline.parameters.fit import FitParams
from mopo_pipeline.parameters.lag import FreshLag, NoLag
from mopo_pipeline.parameters.reference import ReferenceParams
from mopo_pipeline.parameters.train import TrainParams
from mopo_pipeline.policies import reference_logprobs as scoring
from mopo_pipeline.policies.reference import make_reference
from mopo_pipeline.policies.reference_logprobs import check_logprobs, reference_logprobs
from mopo_pipeline.tables import chat_prompt
from mopo_pipeline.training.row_schedule import RowSchedule, systematic_resample

PROMPTS = [chat_prompt("how do you do"), chat_prompt("why")]
RESPONSES = ["very well thanks a lot", "because"]


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    tokenizer = build_tokenizer(PROMPTS, RESPONSES)
    model = build_model(tokenizer, layers=1, width=16, heads=2, max_length=32, seed=0)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def test_log_probability_is_the_sum_over_response_tokens(model_dir: Path) -> None:
    import torch

    model, tokenizer = load_model(model_dir, device="cpu")
    found = sequence_logprobs(model, tokenizer, PROMPTS, RESPONSES, max_length=32)
    for prompt, response, value in zip(PROMPTS, RESPONSES, found.logprob, strict=True):
        rows = encode(tokenizer, [prompt], [response], 32)
        ids, start = rows.ids[0], int(rows.prompt_lengths[0])
        with torch.inference_mode():
            logs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        by_hand = sum(float(logs[t - 1, ids[t]]) for t in range(start, len(ids)))
        assert value == pytest.approx(by_hand, abs=1e-4)


def test_long_responses_are_cut_and_counted_long_prompts_refused(model_dir: Path) -> None:
    _, tokenizer = load_model(model_dir)
    rows = encode(tokenizer, PROMPTS, RESPONSES, 8)
    assert rows.truncated.tolist() == [True, False]
    assert max(len(ids) for ids in rows.ids) <= 8
    with pytest.raises(InputError, match="row 0: the prompt 'how do you do'"):
        encode(tokenizer, PROMPTS, RESPONSES, 4)


def test_a_path_that_is_no_model(tmp_path: Path, model_dir: Path) -> None:
    with pytest.raises(InputError, match="no model at"):
        materialise(tmp_path / "absent")
    with pytest.raises(InputError, match=r"holds no config.json"):
        materialise(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(InputError, match="safetensors"):
        load_model(tmp_path)
    with pytest.raises(InputError, match="not installed"):
        materialise("package:no_such_package_at_all")
    assert materialise(model_dir) == model_dir


def test_resampling_draws_in_proportion() -> None:
    rng = np.random.default_rng(0)
    weights = np.array([0.0, 1.0, 2.5, 0.5])
    counts = sum(np.bincount(systematic_resample(weights, 40, rng), minlength=4) for _ in range(50))
    np.testing.assert_allclose(counts / counts.sum(), weights / weights.sum(), atol=0.005)
    assert counts[0] == 0


def test_schedule_depends_on_seed_and_position_alone() -> None:
    lengths = np.arange(50) % 7 + 1
    one, two = (RowSchedule(lengths, 4, seed=3) for _ in range(2))
    positions = np.arange(64)
    whole = one.rows(positions)
    np.testing.assert_array_equal(whole[40:], two.rows(positions[40:]))
    assert (RowSchedule(lengths, 4, seed=4).rows(positions) != whole).any()


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "prompt_id": ["p0", "p1"],
            "response_id": ["r0", "r1"],
            "prompt": PROMPTS,
            "response": RESPONSES,
            "split": "train",
        }
    )


def edit(path: Path, **changes: Any) -> None:
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, **changes}))


def stopped(
    model: Path | str,
    tmp_path: Path,
    *,
    context: int | None = None,
    fresh: int | None = None,
    sampled: int | None = None,
    **fit: Any,
) -> str:
    """The message a reference and policy of these parameters stop with, nothing trained."""
    given: dict[str, Any] = {"steps": 1, "batch_size": 2, "device": "cpu"}
    lag = FreshLag(every=1, max_new_tokens=fresh) if fresh else NoLag()
    policy = TrainParams(fit=FitParams(**given | fit), lag=lag, work_dir=tmp_path)
    params = ReferenceParams(
        model=str(model), fit=FitParams(**given), context=context, work_dir=tmp_path
    )
    with pytest.raises(InputError) as caught:
        make_reference(table(), 0, params, policy, ("help", "harm"), sampled)
    assert not list(tmp_path.glob("reference-*"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_would_stop_the_policy_is_found_before_the_reference_trains(
    model_dir: Path, tmp_path: Path
) -> None:
    assert "train.fit.batch_size is 3, but there are 2 rows" in stopped(
        model_dir, tmp_path, batch_size=3
    )
    assert "leaves no room for a response in a context of 4 (1 of 2 prompts)" in stopped(
        model_dir, tmp_path, context=4
    )
    assert "reference.context is 64, but the model's context is 32" in stopped(
        model_dir, tmp_path, context=64
    )
    assert "train.lag.max_new_tokens is 12, but the longest prompt takes 5 of 16" in stopped(
        model_dir, tmp_path, context=16, fresh=12
    )
    assert (
        "evaluate.sampling.max_new_tokens is 28, but the longest prompt takes 5 of 32"
        in stopped(model_dir, tmp_path, sampled=28)
    )
    assert "train.fit.dtype is bfloat16" in stopped(model_dir, tmp_path, dtype="bfloat16")
    assert "train.fit starts 999 processes" in stopped(model_dir, tmp_path, processes=999)


def test_a_model_without_safetensors_is_refused(model_dir: Path, tmp_path: Path) -> None:
    import torch

    copy = Path(shutil.copytree(model_dir, tmp_path / "model"))
    (copy / "model.safetensors").unlink()
    torch.save({}, copy / "pytorch_model.bin")
    line = stopped(copy, tmp_path / "work")
    assert "is not a causal language model with safetensors weights" in line


def test_a_missing_pad_token_and_template_are_said_in_a_line_each(
    model_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = Path(shutil.copytree(model_dir, tmp_path / "model"))
    edit(copy / "tokenizer_config.json", pad_token=None)
    (copy / "chat_template.jinja").unlink()
    tokenizer = load_tokenizer(copy)
    said = [record.getMessage() for record in caplog.records]
    assert [line.split(" has ")[1] for line in said] == [
        f"no pad token; padding with {tokenizer.eos_token!r}",
        "no chat template; using 'role: content' lines",
    ]
    assert not any("\n" in line for line in said)
    rows = encode(tokenizer, PROMPTS, RESPONSES, 32)
    assert rows.batch([0, 1])["scored"].sum() == rows.response_lengths.sum()


def adapter_of(base: Path, target: Path) -> Path:
    from peft import LoraConfig, get_peft_model

    model, tokenizer = load_model(base)
    get_peft_model(model, LoraConfig(r=2, task_type="CAUSAL_LM")).save_pretrained(target)
    tokenizer.save_pretrained(target)
    edit(target / "adapter_config.json", base_model_name_or_path=base.name)
    return target


def test_an_adapter_finds_its_base_beside_it_and_refuses_another(
    model_dir: Path, tmp_path: Path
) -> None:
    base = Path(shutil.copytree(model_dir, tmp_path / "base"))
    adapter = adapter_of(base, tmp_path / "adapter")
    load_model(adapter)
    wider = build_model(load_tokenizer(base), layers=1, width=32, heads=2, max_length=32, seed=0)
    wider.save_pretrained(base)
    with pytest.raises(InputError, match=f"{adapter} is an adapter for another base"):
        load_model(adapter)
    deeper = build_model(load_tokenizer(base), layers=2, width=16, heads=2, max_length=32, seed=0)
    deeper.save_pretrained(base)
    assert "is an adapter for another base" in stopped(adapter, tmp_path / "work")


def scored(model: Path, rows: pd.DataFrame, work: Path) -> pd.DataFrame:
    return reference_logprobs(rows, model, 32, work)


def test_reference_logprobs_are_kept_until_model_tokenizer_context_or_text_change(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []
    original = scoring.row_logprobs

    def counting(model: Any, rows: Any, **given: Any) -> Any:
        computed.append(len(rows.ids))
        return original(model, rows, **given)

    monkeypatch.setattr(scoring, "row_logprobs", counting)
    first = scored(model_dir, table(), tmp_path)
    pd.testing.assert_frame_equal(scored(model_dir, table(), tmp_path), first)
    assert computed == [2]
    longer = pd.concat(
        [table(), table().assign(response_id=["r2", "r3"], response=["thanks", "a"])]
    )
    again = scored(model_dir, longer.reset_index(drop=True), tmp_path)
    assert computed == [2, 2]
    np.testing.assert_array_equal(again["logprob"][:2], first["logprob"])
    other = Path(shutil.copytree(model_dir, tmp_path / "other"))
    edit(other / "tokenizer_config.json", model_max_length=31)
    scored(other, table(), tmp_path)
    assert computed == [2, 2, 2]
    reference_logprobs(table(), model_dir, 8, tmp_path)
    assert computed == [2, 2, 2, 1], "one of two rows is longer than eight tokens"


@pytest.mark.parametrize("changed", ["weights", "tokenizer.json", "chat_template.jinja"])
def test_logprobs_of_another_model_are_refused(
    model_dir: Path, tmp_path: Path, changed: str
) -> None:
    rows = table()
    found = scored(model_dir, rows, tmp_path)
    assert check_logprobs(found, rows, model_dir) == 32
    other = Path(shutil.copytree(model_dir, tmp_path / "other"))
    if changed == "weights":
        build_model(
            load_tokenizer(other), layers=1, width=16, heads=2, max_length=32, seed=1
        ).save_pretrained(other)
    else:
        (other / changed).write_text((other / changed).read_text() + " ")
    with pytest.raises(InputError, match="reference_logprobs were computed with model"):
        check_logprobs(found, rows, other)


def test_logprobs_of_other_data_are_refused(model_dir: Path, tmp_path: Path) -> None:
    rows = table()
    found = scored(model_dir, rows, tmp_path)
    edited = rows.assign(response=["very well", "because"])
    with pytest.raises(
        InputError, match=r"of other texts than the data for 1 of 2 responses.*'r0'"
    ):
        check_logprobs(found, edited, model_dir)
    unknown = rows.assign(response_id=["r0", "new"])
    with pytest.raises(InputError, match="first 'new'"):
        check_logprobs(found, unknown, model_dir)
