"""The rows that other trainers read are the plan's: the same tokens, the same log-probabilities, the same gradient."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from evaluated import PLAN
from mopo_pipeline.datasets import AtomicJSONLinesDataset
from mopo_pipeline.language.forward import response_logprobs
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.logprobs import sequence_logprobs
from mopo_pipeline.language.packing import pack
from mopo_pipeline.language.scratch import ANSWER, END
from mopo_pipeline.language.tokens import encode
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.lag import OfflineLag
from mopo_pipeline.parameters.rows import RowsParams
from mopo_pipeline.parameters.train import TrainParams
from mopo_pipeline.policies.planned_rows import PlannedRows, planned_rows
from mopo_pipeline.policies.reference_logprobs import reference_logprobs
from mopo_pipeline.training.loss import weighted_nll
from tiny_training import tiny_model, tiny_texts

CLOSING = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}"
    + ANSWER
    + " {{ m['content'] }} "
    + END
    + " {% else %}{{ m['content'] }} {% endif %}{% endfor %}"
    + "{% if add_generation_prompt %}"
    + ANSWER
    + "{% endif %}"
)
"""A chat template that ends every answer, as those of published models do."""

NONE = pd.DataFrame({"none": [0.0]})


def texts() -> pd.DataFrame:
    prompts, answers = tiny_texts()
    earlier = [{"role": "user", "content": "old"}, {"role": "assistant", "content": "new"}]
    prompts[:5] = [json.dumps([*earlier, *json.loads(prompts[0])])] * 5
    split = ["train"] * 30 + ["test"] * 10
    return pd.DataFrame(
        {
            "prompt_id": [f"p{i // 5}" for i in range(40)],
            "response_id": [f"r{i:02d}" for i in range(40)],
            "prompt": prompts,
            "response": answers,
            "split": split,
            "source": "files",
        }
    )


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tiny_model(tmp_path_factory.mktemp("rows") / "reference_policy")
    _, tokenizer = load_model(directory, device="cpu")
    tokenizer.chat_template = CLOSING
    tokenizer.save_pretrained(directory)
    return directory


def weights(responses: pd.DataFrame) -> pd.DataFrame:
    rows = responses.loc[responses["split"] == "train", ["prompt_id", "response_id"]]
    ratio = np.random.default_rng(3).gamma(0.6, size=len(rows))
    ratio[4] = 0.0
    return rows.assign(ratio=ratio, weight=ratio / ratio.mean()).reset_index(drop=True)


def made(
    reference: Path, work: Path, responses: pd.DataFrame | None = None, **given: Any
) -> PlannedRows:
    table = texts() if responses is None else responses
    scored = reference_logprobs(table, reference, None, work)
    train = TrainParams(work_dir=work, **given.pop("train", {}))
    task = TaskParams.model_validate({"objectives": [{"name": "help"}], "seed": 5})
    return planned_rows(
        table, NONE, NONE, PLAN, weights(table), reference, scored, task, train, RowsParams(**given)
    )


def plain_gradient(reference: Path, rows: pd.DataFrame, weight: np.ndarray) -> torch.Tensor:
    """Of this project's own loss, packed rows and shared output layer included."""
    model, tokenizer = load_model(reference, device="cpu")
    encoded = encode(tokenizer, rows["prompt"].tolist(), rows["response"].tolist(), None)
    logprob = response_logprobs(model, pack(encoded, [np.array([i]) for i in range(len(rows))]))
    weighted_nll(
        logprob, torch.tensor(weight), float(encoded.response_lengths.mean())
    ).mean().backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def gradient_elsewhere(
    reference: Path, ids: list[list[int]], labels: list[list[int]], scale: np.ndarray
) -> torch.Tensor:
    """Of the token-averaged weighted cross-entropy that SFT trainers minimise, one row at a time."""
    model, _ = load_model(reference, device="cpu")
    total = sum(label >= 0 for row in labels for label in row)
    for row, label, weight in zip(ids, labels, scale.tolist(), strict=True):
        logits = model(torch.tensor([row])).logits[0, :-1]
        target = torch.tensor(label[1:])
        lost = torch.nn.functional.cross_entropy(logits, target, ignore_index=-100, reduction="sum")
        (weight * lost / total).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def test_weighted_messages_rendered_by_the_model_s_own_template_give_the_plan_s_gradient(
    reference: Path, tmp_path: Path
) -> None:
    found = made(reference, tmp_path)
    responses = texts()
    weight = weights(responses)["weight"].to_numpy()
    kept = np.flatnonzero(weight)
    _, tokenizer = load_model(reference, device="cpu")
    ids, labels = [], []
    for *before, answer in found.loss_scale["messages"]:
        assert answer["content"].endswith(END)
        text = answer["content"].removesuffix(END)
        conversation = [*before, {"role": "assistant", "content": text}]
        whole = tokenizer.apply_chat_template(conversation, return_dict=True)["input_ids"]
        head = tokenizer.apply_chat_template(
            conversation[:-1], add_generation_prompt=True, return_dict=True
        )["input_ids"]
        ids.append(whole)
        labels.append([-100] * len(head) + whole[len(head) :])
    scale = np.array([c[-1]["loss_scale"] for c in found.loss_scale["messages"]])
    np.testing.assert_allclose(scale, weight[kept] / weight[kept].mean(), rtol=1e-12)
    theirs = gradient_elsewhere(reference, ids, labels, scale)
    ours = plain_gradient(reference, responses.iloc[kept], scale)
    assert float((theirs - ours).abs().max()) < 1e-4 * float(ours.abs().max())
    assert found.manifest["rows"]["rendered_otherwise"] == 0


def test_drawn_tokens_have_the_plan_s_log_probabilities_and_its_gradient(
    reference: Path, tmp_path: Path
) -> None:
    found = made(reference, tmp_path, size=600)
    responses, model = texts(), load_model(reference, device="cpu")
    own = sequence_logprobs(*model, responses["prompt"].tolist(), responses["response"].tolist())
    encoded = encode(model[1], responses["prompt"].tolist(), responses["response"].tolist(), None)
    place = {tuple(ids): row for row, ids in enumerate(encoded.ids)}
    rows = [place[tuple(ids)] for ids in found.tokens["input_ids"]]
    first = found.tokens[:40]
    for ids, label, row in zip(first["input_ids"], first["labels"], rows[:40], strict=True):
        with torch.no_grad():
            logits = model[0](torch.tensor([ids])).logits[0, :-1]
        nll = torch.nn.functional.cross_entropy(
            logits, torch.tensor(label[1:]), ignore_index=-100, reduction="sum"
        )
        assert -float(nll) == pytest.approx(own.logprob[row], abs=1e-4)
    weight = weights(responses)["weight"].to_numpy()
    counts = np.bincount(rows, minlength=40)[:30]
    assert np.abs(counts - 600 * weight / weight.sum()).max() < 1
    distinct = np.flatnonzero(counts)
    theirs = gradient_elsewhere(
        reference,
        [encoded.ids[i] for i in distinct],
        [
            [-100] * int(encoded.prompt_lengths[i])
            + encoded.ids[i][int(encoded.prompt_lengths[i]) :]
            for i in distinct
        ],
        counts[distinct].astype(float),
    )
    ours = plain_gradient(reference, responses.iloc[distinct], counts[distinct].astype(float))
    assert float((theirs - ours).abs().max()) < 1e-4 * float(ours.abs().max())


def test_an_earlier_turn_of_the_assistant_carries_no_loss_and_a_row_without_weight_is_not_written(
    reference: Path, tmp_path: Path
) -> None:
    found = made(reference, tmp_path)
    first = found.loss_scale["messages"].iloc[0]
    assert [m["role"] for m in first] == ["user", "assistant", "user", "assistant"]
    assert [m.get("loss") for m in first] == [None, False, None, None]
    assert [("loss_scale" in m) for m in first] == [False, False, False, True]
    assert len(found.loss_scale) == found.manifest["rows"]["weighted"] == 29
    assert found.manifest["rows"]["without_weight"] == 1
    assert len(found.messages) == len(found.tokens) == found.manifest["rows"]["drawn"] == 30


def test_an_answer_that_nobody_ended_stands_among_the_tokens_alone_and_without_an_end(
    reference: Path, tmp_path: Path
) -> None:
    responses = texts().assign(ended=[i != 7 for i in range(40)])
    found = made(reference, tmp_path, responses, size=300)
    cut = responses["response"].iloc[7]
    asked = json.loads(responses["prompt"].iloc[7])
    written = [(c[:-1], c[-1]["content"]) for c in found.messages["messages"]]
    assert (asked, cut) not in written
    _, tokenizer = load_model(reference, device="cpu")
    end = tokenizer.eos_token_id
    endless = [ids for ids in found.tokens["input_ids"] if ids[-1] != end]
    assert endless
    assert {tokenizer.decode(ids[-2:]) for ids in endless} == {" ".join(cut.split()[-2:])}
    assert found.manifest["rows"]["unended"] == 1
    [note] = found.manifest["notes"]
    assert "1 rows" in note
    assert "rows_tokens.jsonl alone" in note


def test_a_row_longer_than_the_context_is_told_as_messages_hold_it_whole(
    reference: Path, tmp_path: Path
) -> None:
    long = texts()
    long.loc[7, "response"] = " ".join(["red"] * 90)
    found = made(reference, tmp_path, long, size=300)
    context = found.manifest["context"]
    assert max(len(ids) for ids in found.tokens["input_ids"]) == context
    assert any(said[-1]["content"].count("red") == 90 for said in found.messages["messages"])
    assert found.manifest["rows"]["cut"] == 1
    [note] = found.manifest["notes"]
    assert note.startswith(f"1 rows are longer than the context of {context} tokens")


def test_a_template_that_ends_no_answer_is_told_and_so_is_a_reference_that_would_move(
    tmp_path: Path,
) -> None:
    plain = tiny_model(tmp_path / "reference_policy")
    found = made(plain, tmp_path, train={"lag": OfflineLag(every=5, beta=0.9)})
    assert found.manifest["rows"]["rendered_otherwise"] == found.manifest["rows"]["weighted"]
    template, moving = found.manifest["notes"]
    assert "train on rows_tokens.jsonl" in template
    assert "train.lag.mode is offline" in moving
    assert found.manifest["lag"] == {"mode": "offline", "beta": 0.9}


def test_the_manifest_says_which_plan_the_rows_are_of(reference: Path, tmp_path: Path) -> None:
    manifest = made(reference, tmp_path).manifest
    assert manifest["thresholds"] == {"harm": 0.5, "short": 0.45}
    assert manifest["multipliers"] == {"harm": 0.3, "short": 0.2}
    assert (manifest["tau"], manifest["duality_gap"], manifest["end_token"]) == (0.1, 0.0, END)
    assert len(manifest["data_fingerprint"]) == 16
    other = made(reference, tmp_path, texts().assign(response=texts()["response"] + " red"))
    assert other.manifest["data_fingerprint"] != manifest["data_fingerprint"]


def test_lines_come_back_as_they_were_written(tmp_path: Path) -> None:
    file = AtomicJSONLinesDataset(filepath=str(tmp_path / "a/rows.jsonl"))
    table = pd.DataFrame({"messages": [[{"role": "user", "content": "é\n"}]], "scale": [1 / 3]})
    file.save(table)
    assert len((tmp_path / "a/rows.jsonl").read_text(encoding="utf-8").splitlines()) == 1
    pd.testing.assert_frame_equal(file.load(), table)
