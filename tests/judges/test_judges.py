"""Text rules and reward models: what they measure, and what they refuse."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.judges.base import ReadsInPart, score, win_rates_against
from mopo_pipeline.judges.hub import RewardModelJudge, by_length, load_reward_model
from mopo_pipeline.judges.rules import RULES, TextRules, cleanliness, readability, sentiment
from mopo_pipeline.parameters.groups import validate_parameters
from mopo_pipeline.tables import chat_prompt
from tiny_tokenizers import chatml_tokenizer


def test_rules_order_texts_as_people_would() -> None:
    assert sentiment("What a wonderful day, thank you!") > sentiment("This is terrible and sad.")
    assert readability("The cat sat.") > readability("Organisational heterogeneity predominates.")
    assert cleanliness("A plain sentence.") == 0.0
    assert cleanliness("<|im_end|> a plain sentence") == -1.0


def test_scores_are_finite_for_any_text() -> None:
    rules = TextRules(tuple(RULES))
    scores = rules.scores([""] * 4, ["", " \n", "?!", "ok " * 500])
    assert scores.shape == (4, len(RULES))
    assert (abs(scores) < 1e5).all()


def test_an_unknown_rule_is_named() -> None:
    with pytest.raises(InputError, match="there is no rule 'wit'"):
        TextRules(("wit",))


@pytest.fixture
def classifier(tmp_path: Path) -> Callable[..., str]:
    """A small reward model of so many logits, saved; without its head where asked."""
    from safetensors.numpy import load_file, save_file
    from transformers import LlamaConfig, LlamaForSequenceClassification

    tokenizer = chatml_tokenizer()

    def make(logits: int, *, head: bool = True, positions: int = 2048, chat: bool = True) -> str:
        if not chat:
            tokenizer.chat_template = None
        folder = tmp_path / f"{logits} {head} {positions} {chat}"
        config = LlamaConfig(
            max_position_embeddings=positions,
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_labels=logits,
            pad_token_id=tokenizer.pad_token_id,
        )
        LlamaForSequenceClassification(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        path = folder / "model.safetensors"
        if not head:
            kept = {k: v for k, v in load_file(path).items() if not k.startswith("score")}
            save_file(kept, path, {"format": "pt"})
        return str(folder)

    return make


def judged(model: str, responses: list[str]) -> np.ndarray:
    judge = RewardModelJudge({"help": model}, ("help",), device="cpu")
    return judge.scores([chat_prompt("why")] * len(responses), responses)[:, 0]


def test_a_reward_model_without_a_head_is_refused(classifier: Callable[..., str]) -> None:
    with pytest.raises(InputError, match=r"has no weights for score.weight"):
        judged(classifier(1, head=False), ["because"])


def test_of_several_logits_one_must_be_named(classifier: Callable[..., str]) -> None:
    model = classifier(5)
    with pytest.raises(InputError, match=r"has 5 logits .*: say which is the score, such as"):
        judged(model, ["because"])
    with pytest.raises(InputError, match="has no logit 5"):
        judged(f"{model}#5", ["because"])
    with pytest.raises(InputError, match="'x' is no number of a logit"):
        judged(f"{model}#x", ["because"])
    assert judged(f"{model}#0", ["because"]) != judged(f"{model}#3", ["because"])


def read_by(model: str, prompts: list[str], responses: list[str]) -> tuple[list[list[int]], Any]:
    """Token ids of what a reward model was given, padding left out, and its tokenizer."""
    seen: list[list[int]] = []
    judge = RewardModelJudge({"help": model}, ("help",), device="cpu")
    loaded, tokenizer = load_reward_model(model)

    def watching(**given: Any) -> Any:
        ids, mask = given["input_ids"].tolist(), given["attention_mask"].bool().tolist()
        seen.extend(
            [i for i, kept in zip(*row, strict=True) if kept] for row in zip(ids, mask, strict=True)
        )
        return loaded(**given)

    watching.config, watching.device, watching.to = loaded.config, loaded.device, lambda _: watching  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mopo_pipeline.judges.hub.load_reward_model", lambda _: (watching, tokenizer))
        judge.scores(prompts, responses)
    return seen, tokenizer


def test_control_tokens_in_a_judged_answer_are_text(classifier: Callable[..., str]) -> None:
    plain, tokenizer = read_by(classifier(1), [chat_prompt("why")], ["because"])
    spelled, _ = read_by(classifier(1), [chat_prompt("why")], ["because<|im_end|>"])
    end = tokenizer.vocab["<|im_end|>"]
    assert spelled != plain and spelled[0].count(end) == plain[0].count(end)
    (paired,), _ = read_by(classifier(1, chat=False), [chat_prompt("why")], ["because<|im_end|>"])
    assert paired and end not in paired


def test_a_reward_model_reads_a_conversation_as_its_own_template_writes_it(
    classifier: Callable[..., str],
) -> None:
    prompt = '[{"role": "system", "content": "hello"}, {"role": "user", "content": "why"}]'
    read, tokenizer = read_by(classifier(1), [prompt] * 2, ["because", ""])
    for ids, answer in zip(read, ["because", ""], strict=True):
        said = [*json.loads(prompt), {"role": "assistant", "content": answer}]
        assert tokenizer.decode(ids) == tokenizer.apply_chat_template(said, tokenize=False)
    (paired,), tokenizer = read_by(classifier(1, chat=False), [prompt], ["because"])
    assert tokenizer.decode(paired) == "hello\nwhybecause"


@pytest.mark.parametrize("chat", [True, False])
def test_texts_longer_than_a_reward_model_reads_are_cut_and_told(
    classifier: Callable[..., str], caplog: pytest.LogCaptureFixture, chat: bool
) -> None:
    model = classifier(1, positions=40, chat=chat)
    asked = [chat_prompt("why")] * 20
    read_by(model, asked, ["because"] * 20)
    assert not [r for r in caplog.records if "cut short" in r.getMessage()]
    read, _ = read_by(model, asked, ["because"] * 18 + ["why because " * 40] * 2)
    assert sorted(map(len, read))[-2:] == [40, 40]
    (said,) = [r for r in caplog.records if "cut short" in r.getMessage()]
    assert said.levelname == "WARNING"
    assert f"texts judged by {model} cut short: 0.1" in said.getMessage()
    assert "it reads 40 tokens" in said.getMessage()


def test_reward_models_that_leave_an_objective_out_are_found_before_anything_runs() -> None:
    with pytest.raises(
        InputError, match=r"evaluate.judges.reward_models names no model for objective 'harm'"
    ):
        validate_parameters(parameters({"judges": {"reward_models": {"help": "helpful"}}}))


def parameters(evaluate: dict[str, Any]) -> dict[str, Any]:
    fit = {"steps": 1}
    return {
        "task": {"objectives": [{"name": "help"}, {"name": "harm", "threshold": 0.5}]},
        "ingest": {"source": "pocket"},
        "preferences": {},
        "plan": {"tau": 0.1},
        "reference": {"fit": fit, "work_dir": "w"},
        "train": {"fit": fit, "work_dir": "w"},
        "evaluate": evaluate,
        "report": {},
        "export": {"path": "release"},
        "rows": {},
        "front": {"data_root": "d"},
        "steerable": {},
        "ablation": {"sweeps": {"tau": {"plan.tau": [0.1]}}},
        "synthetic": {
            "structures": {"s": {"behaviour": [0.5, 0.5], "preferences": [[[0.5] * 2] * 2] * 3}}
        },
    }


class Gap(TextRules):
    """Gives no number for one text."""

    def scores(self, prompts: list[str], responses: list[str]) -> np.ndarray:
        values = super().scores(prompts, responses)
        values[[text == "no number" for text in responses], 1] = np.nan
        return values


def test_a_score_that_is_no_number_is_refused_with_its_prompt_and_answer() -> None:
    judge = Gap(("brevity", "cleanliness"))
    asked = [chat_prompt("What now?"), chat_prompt("And then?")]
    with pytest.raises(
        InputError,
        match=r"gave nan for objective 'cleanliness' on the answer 'no number' to 'And then\?'",
    ):
        score(judge, asked, ["fine", "no number"])
    with pytest.raises(InputError, match=r"on the answer 'no number' to 'What now\?'"):
        win_rates_against(judge, asked[:1], ["fine"], [["well", "no number"]])


def test_answers_of_one_length_are_judged_together_and_score_as_they_do_alone(
    classifier: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mopo_pipeline.judges.hub.BATCH_ROWS", 2)
    judge = RewardModelJudge({"good": classifier(1)}, ("good",))
    texts = ["why " * n for n in (30, 1, 28, 2)]
    prompts = [chat_prompt("how do you do")] * 4
    together = judge.scores(prompts, texts)
    for i, text in enumerate(texts):
        alone = judge.scores(prompts[:1], [text])
        np.testing.assert_allclose(together[i], alone[0], atol=1e-5)
    order = by_length([len(text) for text in texts]).tolist()
    assert order == [0, 2, 3, 1]


@pytest.mark.parametrize("chat", [True, False])
def test_a_reward_model_says_which_texts_it_reads_in_part(
    classifier: Callable[..., str], chat: bool
) -> None:
    judge = RewardModelJudge({"help": classifier(1, positions=40, chat=chat)}, ("help",))
    texts = ["because", "why because " * 40, "why"]
    assert isinstance(judge, ReadsInPart)
    assert judge.read_in_part([chat_prompt("why")] * 3, texts).tolist() == [False, True, False]
