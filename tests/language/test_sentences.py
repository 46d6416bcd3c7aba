"""A sentence encoder: what it makes of an answer, from a directory or a package."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.language import places
from mopo_pipeline.language.embedding import mean_hidden_states
from mopo_pipeline.language.sentences import reads_both_ways, sentence_vectors
from mopo_pipeline.parameters.preferences import PreferenceModelParams, WinRateParams
from mopo_pipeline.preferences import fit
from mopo_pipeline.preferences.estimate import estimate_win_rates
from mopo_pipeline.preferences.features import EncoderFeatures
from mopo_pipeline.tables import chat_prompt
from tiny_tokenizers import chatml_tokenizer, save_tiny

WORDS = [
    "why",
    "do",
    "you",
    "what",
    "a",
    "good",
    "bad",
    "tea",
    "is",
    "hot",
    "not",
    "so",
    ".",
    ",",
    "?",
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of one layer."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    directory = tmp_path_factory.mktemp("encoder")
    vocabulary = directory / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(
        vocab_size=len(WORDS) + 5, intermediate_size=32, max_position_embeddings=24, **size
    )
    config.initializer_range = 0.5
    BertModel(config).save_pretrained(directory)
    BertTokenizerFast(vocab=str(vocabulary)).save_pretrained(directory)
    return directory


PROMPTS = [chat_prompt("why do you"), chat_prompt("what is tea"), chat_prompt("why")]
ANSWERS = ["tea is hot", "not so good , not so bad", ""]


def test_batches_say_of_each_answer_what_it_is_alone(encoder: Path) -> None:
    together = sentence_vectors(str(encoder), PROMPTS, ANSWERS, max_length=24)
    for i in range(3):
        alone = sentence_vectors(str(encoder), [PROMPTS[i]], [ANSWERS[i]], max_length=24)
        np.testing.assert_allclose(together[i], alone[0], atol=1e-5)
    assert (together**2).mean(axis=1) == pytest.approx(np.ones(3), rel=1e-4)


def test_a_vector_is_the_mean_state_of_the_answer_s_own_tokens(encoder: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(encoder), AutoModel.from_pretrained(encoder)
    ids = tokenizer("why do you", "tea is hot", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        states = model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    own = states[0, 5:8].mean(dim=0).numpy()
    found = sentence_vectors(str(encoder), PROMPTS[:1], ANSWERS[:1], max_length=24)[0]
    np.testing.assert_allclose(found, own / np.sqrt((own**2).mean()), atol=1e-5)


def test_texts_longer_than_the_encoder_reads_lose_the_prompt_s_beginning_first(
    encoder: Path,
) -> None:
    long = chat_prompt("bad " * 50 + "why do you")
    short = chat_prompt("bad " * 15 + "why do you")
    answers = ["tea is hot"] * 2
    one, other = sentence_vectors(str(encoder), [long, short], answers, max_length=99)
    np.testing.assert_allclose(one, other, atol=1e-5)
    assert np.isfinite(sentence_vectors(str(encoder), [long], ["hot " * 80], max_length=99)).all()


def test_a_causal_model_reads_no_more_than_it_has_positions_for_and_the_answer_first(
    tmp_path: Path,
) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = chatml_tokenizer()
    size = {"vocab_size": len(tokenizer), "n_embd": 16, "n_layer": 1, "n_head": 2}
    GPT2LMHeadModel(GPT2Config(**size, n_positions=30)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    asked = [chat_prompt("bad " * n + "how do you do " * 3) for n in (90, 20)]
    one, other = mean_hidden_states(str(tmp_path), asked, ["very well"] * 2, max_length=512)
    np.testing.assert_allclose(one, other, atol=1e-5)
    third = mean_hidden_states(str(tmp_path), asked[:1], ["because why"], max_length=512)[0]
    assert np.abs(one - third).max() > 1e-3


@pytest.mark.parametrize("causal", [False, True])
def test_answers_that_an_encoder_reads_in_part_are_told(
    encoder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, causal: bool
) -> None:
    read = mean_hidden_states if causal else sentence_vectors
    name = str(save_tiny(tmp_path, chatml_tokenizer()) if causal else encoder)
    read(name, [PROMPTS[0]], ["tea is hot"], max_length=24)
    assert "cut short" not in caplog.text
    read(name, [PROMPTS[0]] * 2, ["tea is hot", "hot " * 80], max_length=24)
    (said,) = [r for r in caplog.records if "cut short" in r.getMessage()]
    assert said.levelname == "WARNING"
    assert f"answers read by {name} cut short: 0.5" in said.getMessage()
    assert "raise preferences.win_rates.model.max_length" in said.getMessage()
    features = EncoderFeatures(name, max_length=24)
    found = features.read_in_part([PROMPTS[0]] * 2, ["tea is hot", "hot " * 80])
    assert found.tolist() == [False, True]


def test_an_encoder_is_told_from_a_causal_model(encoder: Path, tmp_path: Path) -> None:
    assert reads_both_ways(str(encoder))
    assert not reads_both_ways(str(save_tiny(tmp_path, chatml_tokenizer())))


@pytest.fixture
def package(encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that carries the encoder as an archive."""
    inside = tmp_path / "tiny_encoder"
    inside.mkdir()
    (inside / "__init__.py").write_text("")
    with zipfile.ZipFile(inside / "model.zip", "w") as archive:
        for file in encoder.iterdir():
            archive.write(file, file.name)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "cache"))
    return "package:tiny_encoder"


def test_an_archived_encoder_is_unpacked_once(encoder: Path, package: str) -> None:
    found = sentence_vectors(package, PROMPTS, ANSWERS, max_length=24)
    np.testing.assert_array_equal(
        found, sentence_vectors(str(encoder), PROMPTS, ANSWERS, max_length=24)
    )
    first = places.materialise(package)
    assert places.materialise(package) == first
    assert [p.name for p in Path(first).parent.iterdir()] == ["tiny_encoder"]


def test_an_archive_without_weights_is_one_line(
    tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "tiny_encoder" / "model.zip", "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(InputError, match=r"model\.zip holds no model of safetensors weights"):
        places.materialise(package)
    assert list((tmp_path / "cache" / "mopo_pipeline").iterdir()) == []


def labelled(source: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Answers of one of two words each, the better one known by the word."""
    rng = np.random.default_rng(0)
    rows, pairs = [], []
    for p in range(24):
        words = rng.permutation(["good", "bad"])
        rows += [(f"p{p}", f"p{p}-{i}", PROMPTS[p % 3], w) for i, w in enumerate(words)]
        pairs.append((f"p{p}", f"p{p}-0", f"p{p}-1", float(words[0] == "good")))
    responses = pd.DataFrame(rows, columns=["prompt_id", "response_id", "prompt", "response"])
    comparisons = pd.DataFrame(pairs, columns=["prompt_id", "response_a", "response_b", "nice"])
    return (
        responses.assign(split="train", source=source),
        comparisons.assign(split="train", nice_weight=1.0),
    )


@pytest.mark.parametrize(("source", "tried"), [("files", 2), ("pocket", 1)])
def test_the_installed_encoder_is_tried_on_real_text_and_the_better_one_taken(
    source: str, tried: int, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "default_encoder", lambda: str(encoder))
    params = PreferenceModelParams(folds=2, max_length=24)
    found: Any = fit.cross_fit(*labelled(source), ("nice",), params, 0)
    assert len(found.losses) == tried
    assert found.model.features.label == min(found.losses, key=found.losses.get)
    words: Any = fit.cross_fit(
        *labelled(source), ("nice",), params.model_copy(update={"features": "words"}), 0
    )
    assert found.losses["words"] == words.losses["words"]


def test_what_the_encoder_of_win_rates_reads_in_part_is_counted_by_split_and_found(
    encoder: Path,
) -> None:
    responses, comparisons = labelled("files")
    responses["split"] = np.where(responses["prompt_id"] == "p0", "test", "train")
    comparisons["split"] = np.where(comparisons["prompt_id"] == "p0", "test", "train")
    responses.loc[[0, 2, 4], "response"] = "hot " * 80
    model = {"features": "encoder", "encoder": str(encoder), "folds": 2, "max_length": 24}

    def metrics(**told: Any) -> dict[str, Any]:
        params = WinRateParams.model_validate({"method": "preference_model", "model": model | told})
        return estimate_win_rates(responses, comparisons, params, ("nice",), 0).metrics

    found = metrics()
    assert found["read_in_part"]["test"] == {"texts": 2, "in_part": 1}
    assert found["read_in_part"]["train"]["in_part"] == 2
    (told,) = found["findings"]
    assert (told["name"], told["value"]) == ("texts read in part: encoder of win rates", 0.5)
    words = metrics(features="words", encoder=None)
    assert (words["read_in_part"], words["findings"]) == (None, [])


def test_words_alone_are_taken_where_no_encoder_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fit, "ENCODER", "no_such_encoder_at_all")
    found = fit.cross_fit(*labelled("files"), ("nice",), PreferenceModelParams(folds=2), 0)
    assert list(found.losses) == ["words"]
