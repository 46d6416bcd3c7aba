"""Reward models on batches of similar length against batches as they come: the same scores, in how much less time.

A random encoder of 4 layers and 256 units (it does the work of a trained one) judges answers whose lengths are spread as people's are: half below
30 words, one in ten above 150. `make bench-judge-batches`.
"""

import argparse
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
)

from mopo_pipeline.judges import hub
from mopo_pipeline.tables import chat_prompt

WORDS = [f"w{i}" for i in range(500)]


def saved_model(directory: Path) -> None:
    """A random reward model that reads words."""
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *WORDS])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    torch.manual_seed(0)
    size = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4}
    config = BertConfig(
        vocab_size=len(vocabulary),
        intermediate_size=1024,
        max_position_embeddings=1024,
        num_labels=1,
        pad_token_id=0,
        **size,
    )
    BertForSequenceClassification(config).save_pretrained(directory)
    PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]", model_max_length=1024
    ).save_pretrained(directory)


def answers(count: int) -> list[str]:
    """Texts whose lengths are log-normal."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(np.log(30), 1.25, count), 1, 900).astype(int)
    return [" ".join(rng.choice(WORDS, size)) for size in lengths]


def timed(model: Path, texts: list[str]) -> tuple[np.ndarray, float]:
    """Scores and seconds of processor time."""
    judge = hub.RewardModelJudge({"good": str(model)}, ("good",))
    start = time.process_time()
    scores = judge.scores([chat_prompt("w1 w2")] * len(texts), texts)
    return scores, time.process_time() - start


def main() -> None:
    """Judge the same answers twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=400)
    texts = answers(parser.parse_args().answers)
    with tempfile.TemporaryDirectory() as directory:
        saved_model(Path(directory))
        timed(Path(directory), texts[:8])
        similar, fast = timed(Path(directory), texts)
        with patch.object(hub, "by_length", lambda rows: np.arange(len(rows))):
            unsorted, slow = timed(Path(directory), texts)
    print(
        f"{len(texts)} answers, {hub.BATCH_ROWS} at once: {slow:.1f} s as they come, {fast:.1f} s by length"
    )
    print(f"largest difference of a score: {np.abs(similar - unsorted).max():.1e}")
    print(f"ratio: judge_batches={slow / fast:.2f}")


if __name__ == "__main__":
    main()
